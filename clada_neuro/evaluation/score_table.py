"""Scores as a table for people: Markdown, in per cent."""

import pandas as pd

_SHARES = (("linear_sparsity", "linear sparsity"), ("ffn_sparsity", "FFN sparsity"))


def markdown(summary: pd.DataFrame) -> str:
    """Return a Markdown table: tasks as columns, one row a start, sparsity and policy, with the paired differences.

    The first row is what guessing scores; the second, where dense was run, the p-value of its being above that.
    """
    shown = summary.assign(
        cell=summary["policy"] + summary["asked"].map(lambda s: "" if s == 0 else f" @ {s:g}")
    )
    tasks = [task for task in dict.fromkeys(shown["task"]) if task != "mean"]
    compared = [
        (name, title)
        for name, title in (("minus_dense", "minus dense"), ("clada_minus", "CLADA minus it"))
        if name in shown
    ]
    shares = [(name, title) for name, title in _SHARES if name in shown]
    header = [
        "policy from",
        "policy",
        *(title for _, title in shares),
        *tasks,
        "mean",
        *(title for _, title in compared),
    ]
    guessed = shown.drop_duplicates("task").set_index("task")["chance"]
    chances = [f"{100 * guessed[task]:.1f}" for task in (*tasks, "mean")]
    lines = [" | ".join(header), " | ".join("---" for _ in header)]
    lines.append(" | ".join(["", "chance", *("" for _ in shares), *chances, *("" for _ in compared)]))
    dense = shown[shown["policy"] == "dense"].drop_duplicates("task").set_index("task")["above_chance_p"]
    if len(dense):
        tested = [_p_value(dense[task]) for task in tasks]
        lines.append(
            " | ".join(
                ["", "dense above chance, p", *("" for _ in shares), *tested, "", *("" for _ in compared)]
            )
        )
    for (start, cell), rows in shown.groupby(["start", "cell"], sort=False):
        by_task = rows.set_index("task")
        mean = by_task.loc["mean"]
        scores = [f"{100 * by_task.loc[task, 'score']:.1f}" for task in tasks]
        differences = [_difference(mean, name) for name, _ in compared]
        summed = f"{100 * mean['score']:.1f} ± {100 * mean['stderr']:.1f}"
        lines.append(
            " | ".join(
                [
                    start,
                    cell.replace("|", "\\|"),
                    *(f"{mean[name]:.3f}" for name, _ in shares),
                    *scores,
                    summed,
                    *differences,
                ]
            )
        )
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def _p_value(p: float) -> str:
    if pd.isna(p):
        return ""
    return "<.001" if p < 0.001 else f"{p:.3f}".lstrip("0")


def _difference(row: pd.Series, name: str) -> str:
    if pd.isna(row[name]):
        return ""
    return f"{100 * row[name]:+.2f} [{100 * row[f'{name}_low']:+.2f}, {100 * row[f'{name}_high']:+.2f}]"
