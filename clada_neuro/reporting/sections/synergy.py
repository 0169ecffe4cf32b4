"""R² of the regressions, and what the interaction of two predictors adds to it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from clada_neuro.numerals import decimals, fixed, interval, spread
from clada_neuro.records.fits import FitRecord, IntervalFacts
from clada_neuro.records.fits import number as drawable
from clada_neuro.records.synergy import Bootstrapped, SynergyRecord
from clada_neuro.reporting.blocks import Absent, Block, Table, Typed
from clada_neuro.reporting.figures import COLORS, Figure, draw, wrapped
from clada_neuro.reporting.interaction import LIBERAL
from clada_neuro.reporting.labels import words
from clada_neuro.reporting.page_tables import slug
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.text import number, p_value, share, shares
from clada_neuro.responses.response import response_of

_INTERVALS = {"parametric": "parametric bootstrap", "cluster": "bootstrap over subjects and items"}
_R2_DECIMALS = 5


def blocks(results: Results) -> Iterator[Block]:
    """Yield R² of every regression, and the interaction in a figure and a table."""
    explained = [fit for fit in results.fits if fit.r2_marginal is not None]
    yield from filter(None, [r2_figure(explained) if explained else None, figure(results.synergy)])
    yield from map(table, results.synergy)
    if explained and not any(fit.r2_intervals for fit in explained):
        yield Absent(
            (
                "R² without intervals: they take a bootstrap of each regression, which ",
                Typed("clada-neuro run --full"),
                " draws.",
            )
        )
    yield from map(Absent, results.lacking("fits", "synergy"))


def r2_figure(fits: list[FitRecord]) -> Figure:
    """Draw marginal and conditional R² of every regression, with bootstrap intervals where there are some."""
    bootstrapped = [fit.name for fit in fits if fit.r2_intervals]

    def paint(axes: Axes) -> None:
        for place, fit in enumerate(fits):
            both = [drawable(fit.r2_marginal), drawable(fit.r2_conditional)]
            intervals = fit.r2_intervals
            if not intervals:
                axes.plot(both, [place, place], color="#c3c9d1", linewidth=2, zorder=1)
            for value, color, marker, label in zip(
                both, (COLORS[0], COLORS[1]), "os", ("marginal", "conditional"), strict=True
            ):
                if intervals:
                    limits = [drawable(intervals[label].low), drawable(intervals[label].high)]
                    axes.plot(limits, [place, place], color=color, linewidth=2)
                axes.plot(
                    value, place, marker, color=color, markersize=7, label=label if place == 0 else None
                )
        axes.set_yticks(range(len(fits)), wrapped(fit.name for fit in fits))
        axes.set_ylim(len(fits) - 0.4, -0.6)
        axes.set_xlim(left=0)
        axes.set(xlabel="R²")
        axes.legend(loc="upper center", bbox_to_anchor=(0.4, 1.0), ncols=2, borderaxespad=-2)

    caption = "R² of the regressions: marginal (fixed effects) and conditional (fixed and random effects)."
    if bootstrapped:
        caption += f" Lines: 95 % parametric bootstrap intervals ({', '.join(bootstrapped)})."
    listed = "; ".join(
        f"{fit.name} {share(fit.r2_marginal, 4)} and {share(fit.r2_conditional, 4)}" for fit in fits
    )
    return draw("r2", caption, f"{caption} {listed}.", paint, (5.0, 1.5 + 0.4 * len(fits)))


@dataclass(frozen=True)
class _Row:
    """A quantity, its value and 95 % limits, and how the page prints them."""

    quantity: str
    value: float | None
    form: Callable[[float | None], str]
    limits: tuple[float, float] | None = None

    @property
    def interval(self) -> str:
        """Both limits with the same decimals; empty without any."""
        if self.limits is None:
            return ""
        if self.form is _r2:
            return shares(*self.limits, _R2_DECIMALS)
        return interval(*self.limits, max(4, decimals(spread(*self.limits))))


def table(found: SynergyRecord) -> Table:
    """Return everything the stage wrote about one interaction, one quantity a row."""
    rows = [row for row in _rows(found) if row.value is not None]
    frame = pd.DataFrame(
        [(row.quantity, row.value, *(row.limits or (None, None))) for row in rows],
        columns=["quantity", "value", "low", "high"],
    ).astype({"value": float, "low": float, "high": float})
    shown = pd.DataFrame(
        {
            "quantity": frame["quantity"],
            "value": [row.form(row.value) for row in rows],
            "95 % interval": [row.interval for row in rows],
        }
    )
    measured = response_of(found.response)
    caption = f"{_names(found)} on {measured.plural}: the interaction beyond main effects and squares."
    name = "_".join(map(slug, filter(None, (found.response, found.term, found.language_model))))
    return Table(f"synergy_{name}", caption, frame, shown)


def _rows(found: SynergyRecord) -> list[_Row]:
    test, b = found.test, found.coefficient
    held_out, intervals = found.cross_validation, found.intervals or Bootstrapped()
    parametric, cluster = intervals.parametric, intervals.cluster
    return [
        _Row("R² synergy (baseline with both squares)", found.r2_synergy, _r2, _limits(parametric)),
        _Row(
            f"its median, {_INTERVALS['cluster']}", cluster.median if cluster else None, _r2, _limits(cluster)
        ),
        _Row("R² synergy, common denominator", found.r2_synergy_common, _r2),
        _Row("R² synergy without squares", found.r2_synergy_without_squares, _r2),
        _Row("R² marginal, baseline", found.r2_marginal_baseline, _r2),
        _Row("R² marginal, with interaction", found.r2_marginal_full, _r2),
        _Row("b of the interaction (REML)", b.estimate, _fine, b.limits),
        _Row("p calibrated under the null", intervals.null_p, p_value),
        _Row(f"χ²({test.df}), likelihood ratio (ML)", test.chi2, number),
        _Row(f"p of the likelihood ratio, {LIBERAL}", test.p, p_value),
        _Row("Δ log-likelihood per trial, in sample (nats)", test.delta_loglik_per_trial, _nats),
        _Row(
            "Δ log-likelihood per trial, held-out items (nats)",
            held_out.delta_loglik_per_trial if held_out else None,
            _nats,
        ),
        _Row("standard error over items", held_out.se if held_out else None, _nats),
    ]


def _r2(value: float | None) -> str:
    return share(value, _R2_DECIMALS)


def _fine(value: float | None) -> str:
    return number(value, 4)


def _nats(value: float | None) -> str:
    return fixed(value, 5)


def figure(found: list[SynergyRecord]) -> Figure | None:
    """Draw each interaction's share of variance with its bootstrap intervals; nothing without intervals."""
    rows = [
        (f"{_names(entry)}\n{response_of(entry.response).name}, {label}", entry.r2_synergy, drawn)
        for entry in found
        for kind, label in _INTERVALS.items()
        if (drawn := getattr(entry.intervals, kind, None))
    ]
    if not rows:
        return None
    names = ["\n".join(wrapped(label.split("\n"))) for label, _, _ in rows]

    def paint(axes: Axes) -> None:
        for place, (_, value, drawn) in enumerate(rows):
            axes.plot([drawn.low, drawn.high], [place, place], color=COLORS[0], linewidth=2)
            axes.plot(value, place, "o", color=COLORS[0], markersize=7)
        axes.set_yticks(range(len(rows)), names)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set(xlabel="R² synergy")
        axes.locator_params(axis="x", nbins=3)

    caption = (
        "What the interaction adds to R² marginal, with 95 % bootstrap intervals. R² hardly ever falls when a term is added: "
        "these intervals are no test."
    )
    listed = "; ".join(
        f"{label}: {share(value, _R2_DECIMALS)}".replace("\n", ", ") for label, value, _ in rows
    )
    return draw(
        "synergy",
        caption,
        f"{caption} {listed}.",
        paint,
        (5.0, 1.2 + 0.2 * sum(2 + name.count("\n") for name in names)),
    )


def _names(found: SynergyRecord) -> str:
    model = found.language_model
    return words(found.term) + (f" ({model})" if model else "")


def _limits(drawn: IntervalFacts | None) -> tuple[float, float] | None:
    return (drawable(drawn.low), drawable(drawn.high)) if drawn else None


SECTION = Declared("synergy", "R² and synergy", 1000, blocks)
