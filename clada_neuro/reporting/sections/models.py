"""Several language models side by side: each regression's effects in every model, and pooled over them."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes

from clada_neuro.numerals import decimals, fixed, interval
from clada_neuro.reporting.blocks import Block, Paragraph, Points, Table
from clada_neuro.reporting.effects import primary, reported_terms
from clada_neuro.reporting.figures import COLORS, Figure, draw, wrapped
from clada_neuro.reporting.labels import words
from clada_neuro.reporting.page_tables import coefficient_cells, slug, table
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.scales import slope
from clada_neuro.reporting.text import p_value, plural

_POOLED = "pooled"


def several(results: Results) -> bool:
    """Return whether the run compares language models."""
    return bool(results.manifest.language_models)


def blocks(results: Results) -> Iterator[Block]:
    """Yield what is compared, a sentence an effect, figures and tables."""
    yield from map(Paragraph, lead(results))
    yield Points(list(sentences(results)))
    yield from figures(results)
    yield from tables(results)


def lead(results: Results) -> list[str]:
    """Return what the section compares, where each model's own report stands, and what was not pooled and why."""
    folders = ", ".join(f"{model.folder}/" for model in results.manifest.language_models)
    reasons = [f"{row.specification}: not pooled, {row.reason}." for row in results.pooled if row.reason]
    return [
        "The same responses regressed on each language model's measures. The pooled estimate is the mean over models; its "
        "standard error is the mean of theirs, as for models whose errors depend on each other wholly, because they share "
        "their trials: it does not shrink with the number of models. Pooled p values are not adjusted. Each model's own "
        f"report, and its tables of tokens, layers and words, stand in {folders}.",
        *reasons,
    ]


def figures(results: Results) -> list[Figure]:
    """Draw every reported effect of each specification in each model, with the pooled one below."""
    return [_effect(rows) for _, rows in _effects(results).groupby(["specification", "term"], sort=False)]


def tables(results: Results) -> list[Table]:
    """Return effects and R² by model, and the effects pooled over them."""
    frame = _effects(results)
    if frame.empty:
        return []
    shown = frame[["specification", "term", "model"]].join(coefficient_cells(frame))
    shown["p (BH)"] = [p_value(p) if pd.notna(p) else "" for p in frame["p_bh"]]
    effects = Table(
        "models_effects", "Reported effects in each language model, and pooled over them.", frame, shown
    )
    explained = [
        {
            "specification": fit.specification,
            "model": fit.language_model,
            "n_obs": fit.n_obs,
            "r2_marginal": fit.r2_marginal,
            "r2_conditional": fit.r2_conditional,
            "aic": fit.aic,
        }
        for fit in results.fits
    ]
    return [effects, table("models_r2", "R² and AIC of each regression in each language model.", explained)]


def sentences(results: Results) -> Iterator[str]:
    """Yield one sentence for each reported effect: pooled, its range over models, and how many agree in sign."""
    effects = _effects(results)
    for row in effects.loc[effects["model"] == _POOLED].itertuples():
        digits = decimals(row.se)
        yield (
            f"{row.specification}, {words(row.term)}: pooled b = {fixed(row.estimate, digits)} {row.unit} "
            f"{interval(row.ci_low, row.ci_high, digits)}, from {fixed(row.lowest, digits)} to "
            f"{fixed(row.highest, digits)} over "
            f"{plural(round(row.n_models), 'model')}, negative in {_of(round(row.n_negative), round(row.n_models))}."
        )


def _of(count: int, total: int) -> str:
    """Return how many of them: ``none``, ``1 of 2``, ``all``."""
    return {0: "none", total: "all"}.get(count, f"{count} of {total}")


def _effects(results: Results) -> pd.DataFrame:
    """Return a row an effect and model, the pooled one last."""
    fits = [fit for fit in primary(results.fits) if fit.language_model]
    rows = []
    for name in dict.fromkeys(fit.specification for fit in fits):
        same = [fit for fit in fits if fit.specification == name]
        pooled = {row.term: row for row in results.pooled if row.specification == name and not row.reason}
        # A masked model has pseudo-surprisal where the others have surprisal.
        for term in dict.fromkeys(term for fit in same for term in reported_terms(fit)):
            measured = slope(next(fit for fit in same if term in fit.coefficients), term)
            shared = {
                "specification": name,
                "response": measured.column,
                "term": term,
                "unit": measured.unit,
            }
            rows += [
                {
                    **shared,
                    "model": fit.language_model,
                    **fit.coefficients[term].row(),
                    "p_bh": fit.p_bh.get(term),
                }
                for fit in same
                if term in fit.coefficients
            ]
            if term in pooled:
                rows.append({**pooled[term].row(), **shared, "model": _POOLED})
    return pd.DataFrame(rows)


def _effect(rows: pd.DataFrame) -> Figure:
    first = rows.iloc[0]

    def paint(axes: Axes) -> None:
        for place, row in enumerate(rows.itertuples()):
            color = COLORS[1] if row.model == _POOLED else COLORS[0]
            axes.plot([row.ci_low, row.ci_high], [place, place], color=color, linewidth=2)
            axes.plot(row.estimate, place, "D" if row.model == _POOLED else "o", color=color, markersize=7)
        axes.axvline(0, color="#374151", linewidth=1, linestyle=(0, (3, 3)))
        axes.set_yticks(range(len(rows)), wrapped(name.rsplit("/", 1)[-1] for name in rows["model"]))
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set(xlabel=f"b ({first.unit})" if first.unit else "b")

    caption = f"{first.specification}: the effect of {words(first['term'])} in each language model, and pooled; 95 % CI."
    listed = "; ".join(f"{row.model} {fixed(row.estimate, decimals(row.se))}" for row in rows.itertuples())
    name = f"models_{slug(first.specification)}_{slug(first['term'])}"
    return draw(name, caption, f"{caption} {listed}.", paint, (5.0, 1.2 + 0.45 * len(rows)))


SECTION = Declared("models", "Language models", 200, blocks, shown=several)
