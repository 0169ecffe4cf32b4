"""The report's sections, in reading order; a section whose source is missing says why."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from clada_neuro.artifacts import read_provenance
from clada_neuro.report import distributions, effects, prose, synergy, tables
from clada_neuro.report.diagnostics import quantiles
from clada_neuro.report.figures import Figure
from clada_neuro.report.limits import limits
from clada_neuro.report.results import Results
from clada_neuro.report.sentences import Shading, shadings
from clada_neuro.report.tables import Table
from clada_neuro.report.text import cell

_SHOWN_ELSEWHERE = (
    "title", "target", "model", "policy", "calibration", "exclusions", "joins", "simulation", "simulated",
    "dataset", "versions", "units",
)  # fmt: skip


@dataclass(frozen=True)
class Section:
    """One section of the page; every list is printed in this order and may be empty."""

    id: str
    title: str
    lead: list[str] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    shadings: list[Shading] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    paste: list[tuple[str, list[str]]] = field(default_factory=list)
    code: list[tuple[str, str]] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)


def sections(results: Results) -> list[Section]:
    """Return every section, filled from what the folder holds."""
    makers: tuple[Callable[[Results], Section], ...] = (
        _findings,
        _run,
        _stimuli,
        _sentences,
        _distributions,
        _effects,
        _coefficients,
        _synergy,
        _erp,
        _diagnostics,
        _paper,
        _script,
        _provenance,
        _limits,
    )
    return [make(results) for make in makers]


def _absent(results: Results, *sources: str) -> list[str]:
    return [results.missing[name] for name in sources if name in results.missing]


def _kept(*found: Table | None) -> list[Table]:
    return [table for table in found if table is not None]


def _findings(results: Results) -> Section:
    return Section(
        "findings",
        "Findings",
        lead=prose.results_paragraphs(results),
        warnings=list(prose.warnings(results)),
        absent=_absent(results, "fits"),
    )


def _run(results: Results) -> Section:
    manifest = results.manifest
    model = manifest.get("model") or {}
    facts = [
        ("Target", cell(manifest.get("target"))),
        ("Model", f"{model.get('model')} ({model.get('architecture')})" if model else ""),
        ("Weights", cell(model.get("weights_hash"))),
        ("Start token", prose.start_token(model) if model else ""),
        ("Precision and device", f"{model.get('dtype')} on {model.get('device')}" if model else ""),
        ("Policy", cell(manifest.get("policy") or "dense")),
        ("Calibration", cell(manifest.get("calibration")) if manifest.get("calibration") else "none"),
    ]
    data = manifest.get("dataset") or {}
    facts += [(f"Data: {key.replace('_', ' ')}", cell(value)) for key, value in data.items() if value]
    given = [(name, value) for name, value in facts if value not in ("", "NA")] if manifest else []
    return Section("run", "What was run", facts=given, absent=_absent(results, "manifest"))


def _stimuli(results: Results) -> Section:
    excluded, joined = tables.exclusions(results), tables.joins(results)
    absent = (
        [] if excluded else ["The manifest lists no exclusions: no step removed a row, or none was counted."]
    )
    absent += [] if joined else ["The manifest counts no joins."]
    return Section(
        "stimuli",
        "Stimuli and rows lost",
        tables=_kept(tables.conditions(results), excluded, joined, tables.truth(results)),
        absent=absent + _absent(results, "stimuli", "trials"),
    )


def _sentences(results: Results) -> Section:
    shaded = shadings(results)
    lead = [
        "The first sentences of each condition. Darker words have higher values, which stand below the words; the "
        "color scale runs from the 2nd to the 98th percentile of all words. Critical words are underlined. NA: a "
        "first word without context has no surprisal."
    ]
    return Section(
        "sentences", "Sentences", lead if shaded else [], shadings=shaded, absent=_absent(results, "words")
    )


def _distributions(results: Results) -> Section:
    return Section(
        "distributions",
        "Distributions",
        figures=distributions.figures(results),
        absent=_absent(results, "words", "layers", "trials"),
    )


def _effects(results: Results) -> Section:
    trials = results.tables.get("trials", pd.DataFrame())
    drawn = [figure for fit in effects.primary(results.fits) for figure in effects.figures(fit, trials)]
    lead = ["Amplitudes are raw µV; lower is more negative."] if drawn else []
    return Section("effects", "Effects", lead, figures=drawn, absent=_absent(results, "fits", "trials"))


def _coefficients(results: Results) -> Section:
    shown = [tables.summary(results.fits)] if results.fits else []
    for fit in results.fits:
        shown += [tables.coefficients(fit), tables.random_effects(fit)]
    lead = [f"{fit['name']}: {fit['formula']}" + _note(fit) for fit in results.fits]
    return Section("coefficients", "Regressions", lead, tables=_kept(*shown), absent=_absent(results, "fits"))


def _note(fit: dict[str, Any]) -> str:
    method = "" if fit.get("reml") is None else " By REML." if fit["reml"] else " By ML."
    return f".{method} {fit.get('note', '')}".rstrip()


def _synergy(results: Results) -> Section:
    explained = [fit for fit in results.fits if fit.get("r2_marginal") is not None]
    drawn = [synergy.r2_figure(explained)] if explained else []
    intervals = synergy.figure(results.synergy)
    return Section(
        "synergy",
        "R² and synergy",
        figures=[*drawn, *([intervals] if intervals else [])],
        tables=[synergy.table(found) for found in results.synergy],
        absent=_absent(results, "fits", "synergy"),
    )


def _erp(results: Results) -> Section:
    return Section("erp", "ERP waveforms", absent=["No epochs: single-trial amplitudes came as a table."])


def _diagnostics(results: Results) -> Section:
    warnings = list(prose.warnings(results))
    points = warnings or (["Every regression converged without a warning."] if results.fits else [])
    return Section(
        "diagnostics",
        "Diagnostics",
        points=points,
        figures=[figure for fit in results.fits if (figure := quantiles(fit))],
        tables=_kept(tables.scales(results.fits)),
        absent=_absent(results, "fits"),
    )


def _paper(results: Results) -> Section:
    paste = [("Methods", prose.methods(results)), ("Results", prose.results_paragraphs(results))]
    filled = [(heading, paragraphs) for heading, paragraphs in paste if paragraphs]
    return Section("paper", "For the paper", paste=filled, absent=_absent(results, "manifest", "fits"))


def _script(results: Results) -> Section:
    scripts = [(fit["name"], fit["lme4_script"]) for fit in results.fits if fit.get("lme4_script")]
    lead = (
        ["R code that refits the models; run it in the folder tables/, where trials.csv stands."]
        if scripts
        else []
    )
    absent = [] if scripts else ["fits.json carries no R script."]
    return Section("script", "lme4 script", lead, code=scripts, absent=absent)


def _provenance(results: Results) -> Section:
    manifest = results.manifest
    files = [
        {
            "table": f"{name}.parquet",
            "rows": len(frame),
            "inputs": read_provenance(results.folder / f"{name}.parquet").get("inputs", ""),
        }
        for name, frame in results.tables.items()
    ]
    versions = [
        {"package": name, "version": value} for name, value in (manifest.get("versions") or {}).items()
    ]
    rest = {key: value for key, value in manifest.items() if key not in _SHOWN_ELSEWHERE}
    return Section(
        "provenance",
        "Provenance",
        tables=[
            tables.table(
                "files", "Tables of this folder; inputs: hash of what each was computed from.", files
            ),
            *([tables.table("versions", "Versions.", versions)] if versions else []),
        ],
        code=[("Rest of the manifest", json.dumps(rest, indent=1, ensure_ascii=False))] if rest else [],
        absent=list(results.missing.values()),
    )


def _limits(results: Results) -> Section:
    return Section("limits", "Limits", points=limits(results))
