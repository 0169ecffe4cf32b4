"""The report's sections, in reading order; a section whose source is missing says why."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from clada_neuro.artifacts import read_provenance
from clada_neuro.records.fits import FitRecord
from clada_neuro.records.manifest import Manifest, ModelFacts
from clada_neuro.reporting import (
    distributions,
    effects,
    marginal,
    models,
    overlap,
    policy,
    prose,
    recording,
    synergy,
    tables,
    waveforms,
)
from clada_neuro.reporting.diagnostics import CHECKS, linearity, quantiles
from clada_neuro.reporting.figures import Figure
from clada_neuro.reporting.limits import limits
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.sentences import Shading, shadings
from clada_neuro.reporting.tables import Table
from clada_neuro.reporting.text import cell, number, plural

_SHOWN_ELSEWHERE = (
    "title", "target", "model", "policy", "calibration", "exclusions", "joins", "simulation", "simulated",
    "dataset", "versions", "units", "command", "created", "departures", "erp", "language_models", "analysis", "notes", "schema",
)  # fmt: skip


@dataclass(frozen=True)
class Block:
    """A piece of a section; what it holds is printed in this order, under its heading."""

    heading: str = ""
    paragraphs: list[str] = field(default_factory=list)
    framed: bool = False
    facts: list[tuple[str, str]] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    warning: str = ""
    shading: Shading | None = None
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    code: str = ""
    absent: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Section:
    """One section of the page."""

    id: str
    title: str
    blocks: list[Block]


def sections(results: Results) -> list[Section]:
    """Return every section, filled from what the folder holds."""
    makers: tuple[tuple[str, str, Callable[[Results], list[Block]]], ...] = (
        ("findings", "Findings", _findings),
        *((("models", "Language models", _models),) if models.names(results.manifest) else ()),
        ("run", "What was run", _run),
        ("stimuli", "Stimuli and rows lost", _stimuli),
        ("sentences", "Sentences", _sentences),
        *((("policy", "Under the policy", _policy),) if policy.present(results) else ()),
        ("distributions", "Distributions", _distributions),
        ("effects", "Effects", _effects),
        ("coefficients", "Regressions", _coefficients),
        ("synergy", "R² and synergy", _synergy),
        ("erp", "ERPs", _erp),
        ("diagnostics", "Diagnostics", _diagnostics),
        ("paper", "For the paper", _paper),
        ("script", "lme4 script", _script),
        ("provenance", "Provenance", _provenance),
        ("limits", "Limits", _limits),
    )
    return named_apart([Section(name, title, make(results)) for name, title, make in makers])


def named_apart(page: list[Section]) -> list[Section]:
    """Number tables and figures whose names would be one file, as those of two models called ``A b`` and ``a-b``."""
    taken: dict[type, set[str]] = {Figure: set(), Table: set()}  # they stand in a folder each

    def apart(parts: list[Any]) -> list[Any]:
        return [replace(part, name=_free(part.name, taken[type(part)])) for part in parts]

    return [
        replace(section, blocks=[
            replace(block, figures=apart(block.figures), tables=apart(block.tables)) for block in section.blocks
        ])
        for section in page
    ]  # fmt: skip


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free)
    return free


def _absent(results: Results, *sources: str) -> Block:
    return Block(absent=[results.missing[name] for name in sources if name in results.missing])


def _kept(*found: Table | Figure | None) -> list[Any]:
    return [part for part in found if part is not None]


def _findings(results: Results) -> list[Block]:
    blocks = [Block(name, points=sentences) for name, sentences in prose.findings(results)]
    count = len(list(prose.warnings(results)))
    warning = f"{plural(count, 'warning')} came with the regressions: see Diagnostics." if count else ""
    notes = [*results.manifest.text_notes, *results.manifest.notes]
    noted = [Block(warning=str(note)) for note in notes]
    return [*noted, *blocks, Block(warning=warning), _absent(results, "fits")]


def _models(results: Results) -> list[Block]:
    return [
        Block(paragraphs=models.lead(results), points=list(models.sentences(results))),
        Block(figures=models.figures(results), tables=models.tables(results)),
    ]


def _run(results: Results) -> list[Block]:
    manifest = results.manifest
    facts = [
        ("Target", cell(manifest.target)),
        *(fact for model in prose.language_models(manifest) for fact in _model_facts(model)),
        ("Policy", prose.policy_name(manifest)),
        ("Analysis", _analysis(manifest)),
        ("Calibration", prose.calibration_in_words(manifest)),
        ("Neuron sparsity", _cutoffs(manifest)),
        *((f"Data: {key.replace('_', ' ')}", cell(value)) for key, value in _dataset(manifest).items()),
    ]
    shown = [(name, value) for name, value in facts if value not in ("", "NA")] if results.document else []
    return [Block(facts=shown), _departures(manifest), _absent(results, "manifest")]


def _model_facts(model: ModelFacts) -> list[tuple[str, str]]:
    return [
        ("Model", prose.model_in_words(model)),
        ("Weights", cell(model.weights_hash)),
        ("Start token", prose.start_token(model)),
        ("Precision and device", f"{model.dtype} on {model.device}"),
    ]


def _cutoffs(manifest: Manifest) -> str:
    """Return which thresholds a dense trace measured neuron_sparsity at, or why it did not."""
    found = manifest.neuron_sparsity
    if found.missing:
        return f"missing: {found.missing}"
    if not found.calibration:
        return "NA"
    return f"at the thresholds of {found.calibration} for an FFN sparsity of {found.ffn_sparsity:g}, hash {found.hash}"


def _departures(manifest: Manifest) -> Block:
    """Return what differs from the analysis that was decided, where the run has checked it; says who decided it."""
    found = manifest.departures
    if found is None:
        return Block()
    if manifest.analysis and manifest.analysis.kind == "default":
        lead = "No analysis file was given, so nothing was specified in advance: the built-in default analysis was run"
        rest = " as it is." if not found else ", with these differences:"
        return Block("Built-in default analysis", paragraphs=[lead + rest], points=list(found))
    none = [] if found else ["Nothing differs from the analysis as specified."]
    return Block("Departures from the specified analysis", paragraphs=none, points=list(found))


def _analysis(manifest: Manifest) -> str:
    found = manifest.analysis
    if found is None:
        return ""
    return {
        "file": f"given in {found.name}",
        "formula": f"formulas given with the run: {found.name}",
        "data set": f"the one that comes with {found.name}",
        "default": "built-in default; no analysis file was given",
    }.get(found.kind, "")


def _dataset(manifest: Manifest) -> dict[str, Any]:
    return {key: value for key, value in (manifest.dataset or {}).items() if value}


def _stimuli(results: Results) -> list[Block]:
    removed = tables.exclusions(results)
    responses = distributions.responses(results.fits, results.tables.get("trials", pd.DataFrame()))
    by_condition = tables.means_by_condition(results, responses)
    found = _kept(
        tables.conditions(results), by_condition, removed, tables.joins(results), tables.truth(results)
    )
    no_removal = [] if removed else ["No row was excluded before analysis: the manifest lists no exclusions."]
    return [
        Block(tables=found),
        Block(absent=no_removal),
        _absent(results, "stimuli", "trials"),
    ]


def _sentences(results: Results) -> list[Block]:
    lead = (
        "The first sentences of each condition. Darker words have higher values, which stand below the words; the "
        "color scale runs from the 2nd to the 98th percentile of all words. Critical words are underlined. NA: not "
        "defined, as the surprisal of a first word without context."
    )
    shaded = [Block(shading.label, shading=shading) for shading in shadings(results)]
    return [Block(paragraphs=[lead] if shaded else []), *shaded, _absent(results, "words")]


def _policy(results: Results) -> list[Block]:
    lead = (
        "Part of the feed-forward weights was not read. Sparsity and adjustment are functions of load here, so what "
        "they predict is exploratory; see Limits."
    )
    return [Block(paragraphs=[lead], facts=policy.facts(results)), Block(figures=policy.figures(results))]


def _distributions(results: Results) -> list[Block]:
    drawn = distributions.figures(results)
    return [Block(figures=drawn), _absent(results, "words", "layers", "trials")]


def _effects(results: Results) -> list[Block]:
    trials = results.tables.get("trials", pd.DataFrame())
    blocks = [
        Block(fit.name, figures=drawn)
        for fit in effects.primary(results.fits)
        if (drawn := effects.figures(fit, trials))
    ]
    lead = " ".join(
        [
            *_directions(results.fits),
            "The other predictors are held at their means, factors at their reference level.",
        ]
    )
    unscaled = [fit.name for fit in results.fits if fit.standardized is None]
    reason = (
        f"No lines are drawn for {', '.join(unscaled)}: fits.json does not say how predictors were scaled."
    )
    return [
        Block(paragraphs=[lead] if blocks else [], absent=[reason] if unscaled else []),
        *blocks,
        _absent(results, "fits", "trials"),
    ]


def _directions(fits: list[FitRecord]) -> list[str]:
    """Say once for each kind of response what larger values mean."""
    return list(dict.fromkeys(f"{effects.shown(fit).up}." for fit in fits))


def _coefficients(results: Results) -> list[Block]:
    blocks = [
        Block(
            fit.name,
            paragraphs=[fit.formula + _note(fit)],
            points=_rungs(fit),
            figures=_kept(effects.coefficients(fit)),
            tables=[
                tables.coefficients(fit),
                *_kept(tables.codes(fit), tables.terms(fit)),
                *marginal.tables(fit),
                tables.random_effects(fit),
            ],
        )
        for fit in results.fits
    ]
    return [Block(tables=_kept(tables.summary(results.fits))), *blocks, _absent(results, "fits")]


def _rungs(fit: FitRecord) -> list[str]:
    """Return the random parts that were tried before the one reported, when there were any."""
    rungs = fit.ladder
    return [
        f"{rung.formula}: log-likelihood {number(rung.loglik)}; "
        + (f"singular, so the reduction ladder removed {rung.removed}." if rung.removed else "kept.")
        for rung in rungs
        if len(rungs) > 1
    ]


def _note(fit: FitRecord) -> str:
    method = "" if fit.reml is None else ", by REML" if fit.reml else ", by ML"
    coded = ", ".join(f"{name} {kind}" for name, kind in fit.contrasts.items())
    contrasts = f" Contrasts: {coded}." if coded else ""
    return f"{method}.{contrasts} {fit.note}".rstrip()


def _synergy(results: Results) -> list[Block]:
    explained = [fit for fit in results.fits if fit.r2_marginal is not None]
    drawn = _kept(synergy.r2_figure(explained) if explained else None, synergy.figure(results.synergy))
    shown = [synergy.table(found) for found in results.synergy]
    bare = explained and not any(fit.r2_intervals for fit in explained)
    none = [
        "R² without intervals: they take a bootstrap of each regression, which clada-neuro run --full draws."
    ]
    return [
        Block(figures=drawn, tables=shown, absent=none if bare else []),
        _absent(results, "fits", "synergy"),
    ]


def _erp(results: Results) -> list[Block]:
    if not results.erp:
        return [Block(absent=["No epochs: responses came as a table, so there are no waveforms to draw."])]
    facts, measured = results.erp_facts, results.manifest.erp
    notes = [*(measured.notes if measured else []), *(facts.notes if facts else [])]
    baseline = facts.baseline if facts else ""
    lead = f"Baseline: {baseline}." if baseline else ""
    return [
        Block(paragraphs=[lead] if lead else [], points=notes),
        Block(figures=waveforms.figures(results)),
        Block(tables=waveforms.tables(results)),
        *(Block(heading, facts=facts) for heading, facts in recording.parts(results)),
        Block(overlap.heading(results), points=overlap.lines(results)),
        Block(figures=overlap.figures(results), tables=overlap.tables(results)),
    ]


def _diagnostics(results: Results) -> list[Block]:
    warnings = list(prose.warnings(results))
    clean = ["Every regression converged without a warning."] if results.fits and not warnings else []
    return [
        Block(points=warnings, paragraphs=clean),
        Block(
            figures=_kept(
                *(draw(fit) for fit in effects.primary(results.fits) for draw in (quantiles, linearity))
            ),
            tables=_kept(*(make(results.fits) for make in (tables.scales, *CHECKS))),
        ),
        _absent(results, "fits"),
    ]


def _paper(results: Results) -> list[Block]:
    texts = (("Methods", prose.methods(results)), ("Results", prose.results_paragraphs(results)))
    blocks = [Block(heading, paragraphs, framed=True) for heading, paragraphs in texts if paragraphs]
    if works := prose.cited(results):
        blocks.append(Block("References", points=works))
    return [*blocks, _absent(results, "manifest", "fits")]


def _script(results: Results) -> list[Block]:
    blocks = [Block(fit.name, code=fit.lme4_script) for fit in results.fits if fit.lme4_script]
    lead = "R code that refits the models from trials.csv; all of it stands in refit.R."
    absent = [] if blocks else ["fits.json carries no R script."]
    return [Block(paragraphs=[lead] if blocks else [], absent=absent), *blocks]


def _provenance(results: Results) -> list[Block]:
    files = [
        {
            "table": f"{name}.parquet",
            "rows": len(frame),
            "inputs": read_provenance(results.folder / f"{name}.parquet").get("inputs", ""),
        }
        for name, frame in results.tables.items()
    ]
    versions = [{"package": name, "version": value} for name, value in results.manifest.versions.items()]
    made = [("Command", results.manifest.command), ("Written", results.manifest.created)]
    rest = {key: value for key, value in results.document.items() if key not in _SHOWN_ELSEWHERE}
    return [
        Block(facts=[(name, value) for name, value in made if value]),
        Block(
            tables=[
                *(
                    [tables.table("files", "Tables; inputs: hash of what each came from.", files)]
                    if files
                    else []
                ),
                *([tables.table("versions", "Versions.", versions)] if versions else []),
            ]
        ),
        *(
            [Block("Rest of the manifest", code=json.dumps(rest, indent=1, ensure_ascii=False))]
            if rest
            else []
        ),
        Block(absent=list(results.missing.values())),
    ]


def _limits(results: Results) -> list[Block]:
    return [Block(points=limits(results))]
