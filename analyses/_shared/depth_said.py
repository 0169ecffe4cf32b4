"""What a page about layers says beside its numbers: rows, controls, limits, and what was decided before the fits."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from clada_neuro.artifacts import plain
from clada_neuro.records.depth import DepthRecord, ProfileFacts
from clada_neuro.reporting.blocks import Block, Facts, Points
from clada_neuro.reporting.labels import words
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.text import plural
from clada_neuro.stats.formula import parse
from clada_neuro.stats.layers.settings import read_settings

Commit = tuple[str, datetime] | None


def rows(results: Results, record: DepthRecord) -> Iterator[Block]:
    """Yield counts of each model, what was removed before, and what a model leaves out."""
    yield Facts([(entry.name, _counts(entry)) for entry in record.entries])
    removed = [
        f"{step.rows_removed:,} of {step.rows_before:,} rows: {step.reason or step.step}"
        for step in results.manifest.exclusions
        if step.rows_removed
    ]
    notes = [*record.notes, *(note for entry in record.entries for note in entry.notes)]
    if said := [*removed, *dict.fromkeys(notes)]:
        yield Points(said)


def compared(results: Results, record: DepthRecord) -> list[str]:
    """Return what a layer's measure stands beside, and what its gain is over."""
    one = record.entries[0]
    replaced = words(one.replaces)
    return [
        *(f"{entry.name}: the model without {replaced}, {entry.baseline}" for entry in record.entries),
        f"{replaced} of the last layer in its place: gains over it are those of the dashed lines",
        f"{one.replicates:,} responses drawn from the model without {replaced}, each analysed as the observed one (seed {one.seed}): "
        f"critical |t| {', '.join(f'{entry.critical_t:.2f}' for entry in record.entries if entry.critical_t)}",
        f"{one.folds} folds of {one.fold}s; the best layer of a fold is chosen in the other folds alone",
        "A model with random weights, the static embedding, the next word and shuffled items stand beside the encoding above."
        if results.encoding
        else "Not controlled here: a model with random weights, the static embedding, shuffled items.",
    ]


def not_shown(results: Results, record: DepthRecord) -> list[str]:
    """Return what does not follow from the numbers."""
    said = [
        "Where a layer is not beyond the critical |t|, that it has no effect: see its interval.",
        "Of a layer that is, that the brain computes what it does, or that it is better than its neighbours: their measures are "
        "nearly the same.",
        "The layer with the largest |t| is no evidence for itself; only the choice out of sight is.",
    ]
    one = record.entries[0]
    if any(f"{one.replaces}_lag" in entry.baseline for entry in record.entries):
        said.append(
            "The word before stands in all models with the surprisal of the last layer, whatever layer is asked of the word."
        )
    if any(_slope(entry) for entry in record.entries):
        said.append(
            f"The random slope of {words(one.replaces)} stays in all models; a layer's own measure has none, so that its effect is "
            "taken as the same in all subjects."
        )
    data = results.manifest.dataset
    return [*said, data.notes] if data and data.notes else said


def registered(results: Results, record: DepthRecord, settings: Path, commit: Commit) -> str:
    """Return whether measures, signs, folds and draws are those of a file, and whether it was there before the run."""
    data = results.manifest.dataset
    name = data.name if data else ""
    file = f"{settings.name} (sha256 {hashlib.sha256(settings.read_bytes()).hexdigest()[:16]})"
    if plain(asdict(read_settings(settings).on(name))) != record.settings:
        return f"Measures, directions, folds and draws are not those of {file}: nothing here shows that they were fixed in advance."
    same = f"Measures, directions, folds and draws are those of {file}"
    ran = datetime.fromisoformat(str(results.manifest.created)) if results.manifest.created else None
    if commit is None or ran is None:
        return f"{same}; nothing here shows when they were fixed."
    when = f"{commit[1].astimezone(UTC):%Y-%m-%d %H:%M} UTC, commit {commit[0]}"
    if commit[1] >= ran:
        return f"{same}, last changed {when}, after the run ({ran:%Y-%m-%d %H:%M} UTC): not shown to be fixed in advance."
    return f"{same}, last changed {when}, before the run whose responses are fitted here was done ({ran:%Y-%m-%d %H:%M} UTC)."


def _counts(entry: ProfileFacts) -> str:
    groups = [
        plural(count, name) for name, count in entry.n_groups.items() if name not in ("item", "stimulus")
    ]
    stimuli = [] if entry.n_stimuli is None else [f"{entry.n_stimuli:,} distinct stimuli"]
    return ", ".join(
        [plural(entry.n_obs, "row"), f"{entry.n_words:,} words", *stimuli, *dict.fromkeys(groups)]
    )


def _slope(entry: ProfileFacts) -> bool:
    return any(entry.replaces in str(term) for term in parse(entry.formula).random)
