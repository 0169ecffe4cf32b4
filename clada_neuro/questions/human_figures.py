"""The figures of the human analysis's page: what each step gains on held-out rows."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from clada_neuro.questions.cells import question_words, step_words
from clada_neuro.questions.human_tables import NATS
from clada_neuro.reporting.figures import COLORS, Figure, draw, wrapped
from clada_neuro.reporting.page_tables import slug


def gains(tests: pd.DataFrame) -> Figure:
    """Return the gains of one question's steps in the dense trace."""
    return _figure("human", tests.assign(policy="dense"), COLORS[:1], "of each step over the model before it")


def gains_under_policies(policies: pd.DataFrame) -> Figure:
    """Return the gains of one question's steps in the traces under policies."""
    return _figure(
        "human_policies", policies, COLORS[1:], "of each step beyond surprisal, under CLADA and its controls"
    )


def _figure(stem: str, rows: pd.DataFrame, colors: Sequence[str], what: str) -> Figure:
    question = str(rows["question"].iloc[0])
    names = list(dict.fromkeys(rows["step"]))
    caption = (
        f"{question_words(question)}: gain in held-out log-likelihood {what}, with 95 % intervals over the units held out. Right of 0 "
        "unseen ones are predicted better."
    )
    size = (5.4, 1.0 + (0.34 if len(colors) == 1 else 0.6) * len(names))
    return draw(
        f"{stem}_{slug(question)}",
        caption,
        f"Points with intervals. {caption}",
        lambda axis: _gains(axis, rows, names, colors),
        size,
    )


def _gains(axis: Axes, rows: pd.DataFrame, names: Sequence[str], colors: Sequence[str]) -> None:
    """Draw gains with intervals: a line for each of the named steps, policies side by side on it."""
    policies = list(dict.fromkeys(rows["policy"]))
    for number, (policy, color) in enumerate(zip(policies, colors, strict=False)):
        part = rows.loc[rows["policy"] == policy]
        shift = 0.16 * (number - (len(policies) - 1) / 2)
        places = [names.index(name) + shift for name in part["step"]]
        reach = [part["held_out"] - part["held_out_low"], part["held_out_high"] - part["held_out"]]
        axis.errorbar(
            NATS * part["held_out"], places, xerr=[NATS * side for side in reach], fmt="o", ms=4, lw=1.4, color=color, label=policy
        )  # fmt: skip
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_yticks(range(len(names)), wrapped(map(step_words, names), 34))
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.set_xlabel("held-out gain (10⁻³ nats a trial)")
    if len(policies) > 1:
        axis.figure.legend(
            *axis.get_legend_handles_labels(), loc="outside upper center", ncols=len(policies), fontsize=8.5
        )
