"""From item results to scores with their uncertainty, paired with dense and with CLADA on the same items.

Standard errors of a score are those of lm-evaluation-harness, s/√n of the 0/1 results. A difference of two policies
is paired: with n₁ items that only the first answers correctly and n₂ that only the second does, its interval is that of
Bonett & Price (2012, J. Educ. Behav. Stat. 37:479), the Wald interval of (n₁ − n₂)/n after one is added to n₁ and n₂
and two to n, which keeps its coverage where few items differ. The mean over tasks takes tasks as given and items as
drawn: variances of tasks add up. Whether a score is above chance is the exact binomial test, one-sided, of the items
answered correctly against what guessing scores; a policy cannot lose accuracy where the dense model has none.
"""

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from clada_neuro.errors import DataError
from clada_neuro.evaluation.tasks import TASKS
from clada_neuro.runtime.policy import ALL, SHARE

CELL = ["start", "asked", "policy"]
LINEAR = SHARE[ALL]
_Z = float(stats.norm.ppf(0.975))


def paired_difference(correct: np.ndarray, reference: np.ndarray) -> tuple[float, float, float]:
    """Return the difference of two shares correct on the same items, the centre of its interval and its standard error.

    The centre is the difference after Bonett and Price's adjustment, a factor n/(n + 2).
    """
    n = len(correct)
    only, other = int((correct & ~reference).sum()), int((~correct & reference).sum())
    p, q = (only + 1) / (n + 2), (other + 1) / (n + 2)
    return (only - other) / n, p - q, math.sqrt((p + q - (p - q) ** 2) / (n + 2))


def summarise(items: pd.DataFrame) -> pd.DataFrame:
    """Return one row a task, start, sparsity and policy, and their mean over tasks (task ``mean``).

    Parameters
    ----------
    items : pandas.DataFrame
        As `clada_neuro.evaluation.evaluate.evaluate` returns, of one start or several.

    Returns
    -------
    pandas.DataFrame
        task, start, asked, policy, n, ffn_sparsity, in scope ``all`` linear_sparsity, affected (share of answer tokens), acc, acc_stderr, acc_norm,
        acc_norm_stderr, perplexity (of completions), metric, score, stderr, chance (the score of guessing), above_chance_p (missing where guessing scores 0, and of
        the mean); and, where the policy was run on the same items, minus_dense and clada_minus (differences of the score) with ``_low`` and ``_high``.

    Raises
    ------
    DataError
        If results of two calibrations are mixed, or policies were not run on the same items.
    """
    _check(items)
    rows = []
    for task, of_task in items.groupby("task", sort=False):
        metric = TASKS[str(task)].metric
        cells = {key: cell.sort_values("item") for key, cell in of_task.groupby(CELL, sort=False)}
        for key, cell in cells.items():
            row = {"task": task, **dict(zip(CELL, key, strict=True)), **_scores(cell, metric)}
            row |= against_chance(str(task), row["n"], row["score"])
            for name, (other, sign) in _references(key, cells).items():
                here, there = _correct(cell, metric), _correct(other, metric)
                row[name], centre, row[f"{name}_se"] = paired_difference(*(here, there)[::sign])
                row[f"{name}_centre"] = centre
            rows.append(row)
    found = pd.DataFrame(rows)
    found = pd.concat([found, _mean_over_tasks(found)], ignore_index=True)
    for name in [name for name in ("minus_dense", "clada_minus") if name in found]:
        centre, error = found.pop(f"{name}_centre"), found.pop(f"{name}_se")
        found[f"{name}_low"], found[f"{name}_high"] = centre - _Z * error, centre + _Z * error
    return found


def against_chance(task: str, n: int, score: float) -> dict[str, float]:
    """Return what guessing scores on a task, and the p-value of a score on ``n`` items being above it.

    Exact binomial test, one-sided. ``above_chance_p`` is missing where guessing scores 0 (completions), which any right
    answer exceeds.
    """
    chance = TASKS[task].chance
    correct = round(score * n)
    p = float(stats.binom.sf(correct - 1, n, chance)) if chance else math.nan
    return {"chance": chance, "above_chance_p": p}


def long_rows(summary: pd.DataFrame) -> list[dict]:
    """Return {task, policy, start, ffn_sparsity, metric, value, stderr, n} for every score of a summary.

    In scope ``all`` linear_sparsity, too.
    """
    rows = []
    for record in summary.to_dict("records"):
        about = ("task", "policy", "start", "ffn_sparsity", LINEAR)
        same = {name: record[name] for name in about if name in record}
        metrics = [("acc", "acc_stderr"), ("acc_norm", "acc_norm_stderr"), ("perplexity", None)]
        if record["task"] == "mean":
            metrics = [("score", "stderr")]
        for name in ("minus_dense", "clada_minus"):
            if name in record:
                record[f"{name}_stderr"] = (record[f"{name}_high"] - record[f"{name}_low"]) / (2 * _Z)
                metrics.append((name, f"{name}_stderr"))
        rows += [
            {**same, "metric": name, "value": record[name], "stderr": record.get(error), "n": record["n"]}
            for name, error in metrics
            if not pd.isna(record[name])
        ]
    return rows


def _check(items: pd.DataFrame) -> None:
    made_from = sorted(items["calibration"].dropna().unique())
    if len(made_from) > 1:
        raise DataError(
            f"results of {len(made_from)} calibrations are mixed ({', '.join(made_from)}), one expected; "
            "evaluate again with one"
        )
    for task, of_task in items.groupby("task"):
        drawn = {key: frozenset(cell["item"]) for key, cell in of_task.groupby(CELL)}
        if len(set(drawn.values())) > 1:
            raise DataError(f"task '{task}': policies were run on different items; evaluate them on the same")


def _scores(cell: pd.DataFrame, metric: str) -> dict[str, object]:
    completion = (cell["log_probs"].map(len) == 1).all()
    row: dict[str, object] = {
        "n": len(cell),
        **{
            # Dense, which reads everything, has none of scope all.
            name: float(np.average(cell[name].fillna(0.0), weights=cell["policy_tokens"]))
            for name in ("ffn_sparsity", LINEAR)
            if name in cell
        },
        "affected": cell["affected_tokens"].sum() / cell["answer_tokens"].sum(),
    }
    for name, column in (("acc", "correct"), ("acc_norm", "correct_norm")):
        given = name == "acc" or metric == "acc_norm"
        row[name] = cell[column].mean() if given else np.nan
        row[f"{name}_stderr"] = cell[column].astype(float).sem() if given else np.nan
    row["perplexity"] = math.exp(-cell["log_probs"].map(lambda p: p[0]).mean()) if completion else np.nan
    return row | {"metric": metric, "score": row[metric], "stderr": row[f"{metric}_stderr"]}


def _correct(cell: pd.DataFrame, metric: str) -> np.ndarray:
    return cell["correct" if metric == "acc" else "correct_norm"].to_numpy(bool)


def _references(key: Any, cells: dict) -> dict[str, tuple[pd.DataFrame, int]]:
    """Return the cells that a cell is compared with, and -1 where they come first in the difference."""
    start, asked, policy = key
    found = {}
    if policy != "dense" and (start, 0.0, "dense") in cells:
        found["minus_dense"] = (cells[start, 0.0, "dense"], 1)
    if policy not in ("dense", "clada") and (start, asked, "clada") in cells:
        found["clada_minus"] = (cells[start, asked, "clada"], -1)
    return found


def _mean_over_tasks(found: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for key, cell in found.groupby(CELL, sort=False):
        tasks = len(cell)
        row: dict[str, object] = {"task": "mean", **dict(zip(CELL, key, strict=True)), "n": cell["n"].sum()}
        for name in cell.columns.intersection(
            [
                "ffn_sparsity",
                LINEAR,
                "affected",
                "score",
                "chance",
                "minus_dense",
                "minus_dense_centre",
                "clada_minus",
                "clada_minus_centre",
            ]
        ):
            row[name] = cell[name].mean()
        for name in cell.columns.intersection(["stderr", "minus_dense_se", "clada_minus_se"]):
            row[name] = math.sqrt((cell[name] ** 2).sum(min_count=1)) / tasks
        rows.append(row)
    return pd.DataFrame(rows)
