"""What was run: model, policy, analysis and data, and in what the run departs from its analysis."""

from collections.abc import Iterator

from clada_neuro.records.manifest import Manifest, ModelFacts
from clada_neuro.reporting import prose
from clada_neuro.reporting.blocks import Absent, Block, Facts, Headed, Paragraph, Points
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.text import cell


def blocks(results: Results) -> Iterator[Block]:
    """Yield the facts and the departures."""
    manifest = results.manifest
    facts = [
        ("Target", cell(manifest.target)),
        *(fact for model in manifest.models for fact in _model_facts(model)),
        ("Policy", prose.policy_name(manifest)),
        ("Analysis", _analysis(manifest)),
        ("Calibration", prose.calibration_in_words(manifest)),
        ("Neuron sparsity", _cutoffs(manifest)),
        *(
            (f"Data: {key.replace('_', ' ')}", cell(value))
            for key, value in (manifest.dataset.row() if manifest.dataset else {}).items()
            if value
        ),
    ]
    if results.document:
        yield Facts([(name, value) for name, value in facts if value not in ("", "NA")])
    if manifest.departures is not None:
        yield _departures(manifest, manifest.departures)
    yield from map(Absent, results.lacking("manifest"))


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
        return ""
    name, value = (
        ("a linear sparsity", found.linear_sparsity)
        if found.ffn_sparsity is None
        else ("an FFN sparsity", found.ffn_sparsity)
    )
    return f"at the thresholds of {found.calibration} for {name} of {value:g}, hash {found.hash}"


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


def _departures(manifest: Manifest, found: list[str]) -> Block:
    """Return what differs from the analysis that was decided; says who decided it."""
    listed: list[Block] = [Points(found)] if found else []
    if manifest.analysis and manifest.analysis.kind == "default":
        lead = "No analysis file was given, so nothing was specified in advance: the built-in default analysis was run"
        rest = ", with these differences:" if found else " as it is."
        return Headed("Built-in default analysis", [Paragraph(lead + rest), *listed])
    none = Paragraph("Nothing differs from the analysis as specified.")
    return Headed("Departures from the specified analysis", listed or [none])


SECTION = Declared("run", "What was run", 300, blocks)
