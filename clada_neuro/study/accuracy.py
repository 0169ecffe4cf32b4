"""Of how many items the predictions of a suite hold: the report of SyntaxGym suites and of minimal pairs."""

from collections.abc import Mapping, Sequence

import pandas as pd
from scipy import stats

from clada_neuro.stimuli.predictions import Prediction
from clada_neuro.stimuli.suites import ALL

EVERY, MEAN, SUITES = "all of them together", "mean of the predictions", "mean of the suites"
HOW = "share of items of which the prediction holds; 95 % Wilson intervals; surprisals summed over the tokens of a region"


def judge(tokens: pd.DataFrame, stimuli: pd.DataFrame) -> pd.DataFrame:
    """Return whether each prediction of the stimuli holds of each item.

    Parameters
    ----------
    tokens : pandas.DataFrame
        Of a trace of the stimuli.
    stimuli : pandas.DataFrame
        With `suite` and, in ``attrs["predictions"]``, what is predicted (`clada_neuro.stimuli.suites`).

    Returns
    -------
    DataFrame
        Columns suite, prediction, formula, item, holds (boolean; missing where a region has no surprisal).
    """
    bits = _bits(tokens, stimuli)
    rows = []
    for one in stimuli.attrs["predictions"]:
        prediction = Prediction(one["name"], one["formula"])
        for item in stimuli.loc[stimuli["suite"] == one["suite"], "item"].unique():
            rows.append(
                {
                    "suite": one["suite"], "prediction": prediction.name, "formula": prediction.formula, "item": item,
                    "holds": prediction.holds(bits[item]),
                }
            )  # fmt: skip
    return pd.DataFrame(rows).astype({"holds": "boolean"})


def _bits(tokens: pd.DataFrame, stimuli: pd.DataFrame) -> dict[str, dict[tuple[str, str], float]]:
    """Return the surprisal of each item's conditions and regions, those that hold words."""

    def total(parts: pd.core.groupby.SeriesGroupBy) -> dict:
        return parts.agg(lambda bits: bits.sum(skipna=False)).to_dict()

    bits = "pseudo_surprisal_bits" if "pseudo_surprisal_bits" in tokens else "surprisal_bits"
    texts = total(tokens.groupby("stimulus_id", sort=False)[bits])
    words = total(tokens.groupby(["stimulus_id", "word_index"], sort=False)[bits])
    found: dict[str, dict[tuple[str, str], float]] = {}
    for row in stimuli.to_dict("records"):
        name, condition = row["stimulus_id"], row["condition"]
        of = found.setdefault(row["item"], {})
        of[condition, ALL] = texts[name]
        for place, region in enumerate(_regions(row)):
            # A word all of whose tokens began in the word before has no bits of its own.
            of[condition, region] = of.get((condition, region), 0.0) + words.get((name, place), 0.0)
    return found


def _regions(row: Mapping[str, object]) -> Sequence[str]:
    regions = row.get("regions")
    return regions if isinstance(regions, list) else ()


def accuracy(judged: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracy of each prediction, of each suite and of all suites.

    Returns
    -------
    DataFrame
        Columns suite, prediction, formula, n (items), missing, accuracy, ci_low, ci_high (95 %, Wilson; missing for
        means of accuracies).
    """
    rows = []
    for suite, of_suite in judged.groupby("suite", sort=False):
        cells = [
            _cell(suite, name, formula, one["holds"])
            for (name, formula), one in of_suite.groupby(["prediction", "formula"], sort=False)
        ]
        if len(cells) > 1:
            together = of_suite.groupby("item", sort=False)["holds"].agg(
                lambda holds: holds.all(skipna=False)
            )
            cells += [_cell(suite, EVERY, "", together.astype("boolean")), _mean(suite, MEAN, cells)]
        rows += cells
    if judged["suite"].nunique() > 1:
        of_suites = [row for row in rows if row["prediction"] == MEAN]
        alone = [row for row in rows if row["suite"] not in {one["suite"] for one in of_suites}]
        rows.append(_mean("", SUITES, [*of_suites, *alone]))
    return pd.DataFrame(rows)


def _cell(suite: object, name: object, formula: object, holds: pd.Series) -> dict[str, object]:
    known = holds.dropna()
    n, right = len(known), int(known.sum())
    interval = stats.binomtest(right, n).proportion_ci(method="wilson") if n else None
    return {
        "suite": suite, "prediction": name, "formula": formula, "n": n, "missing": len(holds) - n,
        "accuracy": right / n if n else float("nan"),
        "ci_low": interval.low if interval else float("nan"), "ci_high": interval.high if interval else float("nan"),
    }  # fmt: skip


def _mean(suite: str, name: str, rows: Sequence[Mapping[str, object]]) -> dict[str, object]:
    values = pd.DataFrame(rows)
    return {
        "suite": suite, "prediction": name, "formula": "", "n": int(values["n"].sum()),
        "missing": int(values["missing"].sum()), "accuracy": float(values["accuracy"].mean()),
        "ci_low": float("nan"), "ci_high": float("nan"),
    }  # fmt: skip
