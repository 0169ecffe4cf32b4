"""The table of models and benchmarks: accuracy of the dense model, what policies lose, sparsity, speed."""

import pandas as pd

EXPLAINED = """# Models and benchmarks

Made by `python analyses/14_six_models.py --model NAME …` (see there), one or several models at a time. *Dense* is
accuracy in per cent, with † where it is not above chance (exact binomial test, one-sided, p ≥ .05); other rows are points
more or less than dense on the same items, with 95 % intervals. *Sparsity* is the share of feed-forward weight bytes not read on
these items; *speed* is decoding at batch 1 against the fastest dense engine of the same run, median and quartiles of its
rounds, with the load average of the machine where that exceeded the benchmark's own threads by more than one.
An empty cell was not measured.
"""
_BUSY = 1.0  # load average beyond the benchmark's own threads


def page(scores: pd.DataFrame, speeds: pd.DataFrame, missing: pd.DataFrame) -> str:
    """Return the page as Markdown; the tables are those of the files of all models."""
    parts = [EXPLAINED]
    if len(scores):
        parts += [_filled(scores, speeds), _table(scores, speeds)]
    if len(missing):
        parts.append("Not measured:\n")
        parts += [
            f"- {row['model']}, {row['missing']}: {row['reason']}" for row in missing.to_dict("records")
        ]
    return "\n".join(parts).rstrip() + "\n"


def _filled(scores: pd.DataFrame, speeds: pd.DataFrame) -> str:
    """Say which cells there are."""
    lines = []
    for model, own in scores.groupby("model", sort=False):
        tasks = own[own["task"] != "mean"]
        timed = speeds[speeds["model"] == model] if len(speeds) else speeds
        times = f"timed by `{timed['made_by'].iloc[0]}`" if len(timed) else "not timed"
        items = f"{tasks['n'].min()} to {tasks['n'].max()} items of each of {tasks['task'].nunique()} tasks"
        made = f"weights {own['weights'].iloc[0]}, calibration {own['calibration'].iloc[0]}"
        lines.append(f"- {model}: {items} by `{own['made_by'].iloc[0]}`; {times} ({made})")
    return "Filled:\n\n" + "\n".join(lines) + "\n"


def _table(scores: pd.DataFrame, speeds: pd.DataFrame) -> str:
    tasks = [task for task in dict.fromkeys(scores["task"]) if task != "mean"]
    header = ["model", "policy", "sparsity", *tasks, "mean", "speed"]
    lines = [header, ["---"] * len(header)]
    for (model, policy, asked), rows in scores.groupby(["model", "policy", "asked"], sort=False):
        by_task = rows.set_index("task")
        show = _accuracy if policy == "dense" else _difference
        cells = [show(by_task.loc[task]) if task in by_task.index else "" for task in (*tasks, "mean")]
        sparsity = "" if policy == "dense" else f"{by_task.loc['mean', 'ffn_sparsity']:.3f}"
        shown = policy if policy == "dense" else f"{policy} @ {asked:g}"
        lines.append(
            [str(model), shown, sparsity, *cells, _speed(speeds, str(model), str(policy), float(asked))]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _accuracy(row: pd.Series) -> str:
    guessing = row["above_chance_p"] >= 0.05
    return f"{100 * row['score']:.1f} ± {100 * row['stderr']:.1f}{'†' * bool(guessing)}"


def _difference(row: pd.Series) -> str:
    low, high = 100 * row["minus_dense_low"], 100 * row["minus_dense_high"]
    return f"{100 * row['minus_dense']:+.1f} [{low:+.1f}, {high:+.1f}]"


def _speed(speeds: pd.DataFrame, model: str, policy: str, asked: float) -> str:
    """Return the ratio of the fastest engine under a policy at a sparsity."""
    if not len(speeds) or policy == "dense":
        return ""
    own = speeds[(speeds["model"] == model) & (speeds["policy"] == policy) & (speeds["asked"] == asked)]
    if not len(own):
        return ""
    row = own.loc[own["tokens_per_s"].idxmax()]
    busy = row["load_average"] - row["threads"]
    noted = f", load {row['load_average']:.1f}" if busy > _BUSY else ""
    ratio = f"{row['ratio_vs_dense']:.2f} [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]"
    return f"{ratio} ({row['engine']} at {row['ffn_sparsity']:.2f}{noted})"
