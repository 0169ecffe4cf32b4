"""From recordings and the words of a trace to overlap-corrected ERPs on disk, subject by subject.

In the folder: ``waveforms.parquet`` (one row per subject, event, predictor, channel and moment, µV), ``averages.parquet`` (over subjects),
``events.parquet`` (what became of every event and word), ``sub-<name>-ave.fif`` (each subject's waveforms for MNE), ``clusters.parquet`` and
``group-ave.fif`` (over subjects), ``scalp.parquet`` (their means in the components' windows), with ``tfce.parquet`` where asked for, ``by_item.parquet`` (whether effects hold over stimuli), and
``overlap.json``, what was done. A subject's files are written when it is finished, so that an error in a later one leaves them, and its fit is
kept in ``fits/``: the same call goes on from there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mne
import pandas as pd

from clada_neuro.artifacts import content_hash, output_folder, write_atomic, write_table
from clada_neuro.cache import Store
from clada_neuro.erp.clusters import ClusterTest
from clada_neuro.erp.codes import WORD
from clada_neuro.erp.made_from import hash_of_words
from clada_neuro.erp.notes import together
from clada_neuro.erp.overlap.events import EventModel, coded, variables_of
from clada_neuro.erp.overlap.group import OverlapGroup, overlap_group
from clada_neuro.erp.overlap.items import ItemCheck, overlap_by_item
from clada_neuro.erp.overlap.result import OverlapRerp
from clada_neuro.erp.overlap.shown import over_scalp, over_subjects, totals
from clada_neuro.erp.overlap.single import epochs_without_overlap
from clada_neuro.erp.overlap.subjects import Subject, finished
from clada_neuro.erp.quiet import quiet
from clada_neuro.erp.raw_sources import EegSession, read_recordings, sessions_in_words, stamp
from clada_neuro.erp.triggers import TiedEvents, add_measures, check_intervals, tie
from clada_neuro.errors import CladaNeuroError
from clada_neuro.parts import Jobs, place_of
from clada_neuro.records.overlap import OverlapRecord
from clada_neuro.stage import Stage

_LAST = "overlap"  # the file that is written last: with it the tables are complete


@dataclass(frozen=True)
class Reading:
    """How the words of a recording are found.

    Attributes
    ----------
    table
        Words by trigger or onset (see `triggers.tie`); None for BIDS columns.
    delay
        Seconds from a trigger to the word on the screen.
    soa
        Seconds from word to word, as stated; None where they vary.
    task
        Of a BIDS folder that holds several.
    """

    table: pd.DataFrame | None = None
    delay: float = 0.0
    soa: float | None = None
    task: str | None = None


@dataclass(frozen=True)
class OverlapOptions:
    """What is wanted: ``ridge`` (see `fit.overlap_rerp`), permutations, seed and ``tfce`` (`group.overlap_group`), and ``epochs``, the
    single trials without their neighbours as ``sub-<name>_epo.fif``.
    """

    ridge: bool = False
    n_permutations: int = 1000
    seed: int = 0
    tfce: bool = False
    epochs: bool = False


@quiet
def analyze_recordings(
    source: str | Path,
    words: pd.DataFrame,
    folder: str | Path,
    models: Sequence[EventModel],
    *,
    reading: Reading | None = None,
    asked: OverlapOptions | None = None,
    jobs: Jobs = 1,
    progress: Callable[[str], None] = lambda line: None,
) -> Path:
    """Read recordings, tie their events to words, estimate responses that overlap, and test them over subjects.

    Parameters
    ----------
    source
        Recording, folder or BIDS folder (see `raw_sources.read_recordings`).
    words
        Words table of a trace.
    folder
        Where the files go.
    models
        One for each type of event; words are of type ``word``, others of their code or ``trial_type``.
    reading, asked
        How words are found, and what is wanted.
    jobs
        Subjects at once: processes, or another place (`clada_neuro.parts`).
    progress
        Receives lines on what is done.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    CladaNeuroError
        For recordings, events and models that cannot be used; finished subjects' files stay.
    """
    how, wanted = reading or Reading(), asked or OverlapOptions()
    place = output_folder(folder)
    recordings = read_recordings(source, how.task)
    store = _store(place, recordings, words, models, how, wanted)
    if store.whole(_LAST) and _finished(store):
        progress("nothing has changed since the recordings were analyzed")
        return place
    for line in [*sessions_in_words(recordings), *_channels(recordings)]:
        progress(line)
    tied = {name: _tied(name, sessions, how, progress) for name, sessions in recordings.items()}
    for line in together(
        [(name, note) for name, one in tied.items() for note in one.notes], "subject", len(tied)
    ):
        progress(line)
    tables, said = _measured(tied, words, models)
    for line in said:
        progress(line)
    flat = [table for parts in tables.values() for table in parts]
    codings, impulses = coded(flat, models)
    own = iter(impulses)
    subjects = {
        name: Subject(name, sessions, tables[name], [next(own) for _ in sessions])
        for name, sessions in recordings.items()
    }
    found: dict[str, OverlapRerp] = {}
    for name, fit, before in finished(subjects, codings, wanted.ridge, place_of(jobs), place / "fits"):
        found[name] = fit
        _write_waveforms(place / f"sub-{name}-ave.fif", [fit.evoked(predictor) for predictor in fit.names])
        if wanted.epochs:
            singles = epochs_without_overlap(subjects[name].raws, tables[name], fit, WORD)
            _write_epochs(place / f"sub-{name}_epo.fif", singles)
        progress(f"subject '{name}'{' (fitted before)' if before else ''}: {_in_words(fit)}")
    fits = {name: found[name] for name in subjects}  # however they came
    group, check = None, None
    notes = together([(name, note) for name, fit in fits.items() for note in fit.notes], "subject", len(fits))
    if len(fits) > 1:
        progress(f"{len(fits)} subjects: {wanted.n_permutations} permutations")
        group = overlap_group(fits, n_permutations=wanted.n_permutations, seed=wanted.seed, tfce=wanted.tfce)
        notes = group.notes
        check = _over_stimuli(recordings, tables, fits, group, words)
        progress(f"by-item check {f'left out: {check}' if isinstance(check, str) else check.in_words()}")
    for note in notes:
        progress(f"note: {note}")
    account = _write_tables(place, fits, tied, group, check)
    facts = _facts(recordings, fits, models, how, wanted, [*said, *notes], check)
    store.write(_LAST, facts | totals(fits, account))
    return place


@dataclass(frozen=True)
class OverlapStage(Stage[Path]):
    """Take overlapping responses apart, as `analyze_recordings` does."""

    name = "overlap"
    files = ("overlap.json", "waveforms.parquet", "averages.parquet", "events.parquet", "clusters.parquet", "tfce.parquet",
             "by_item.parquet", "scalp.parquet", "group-ave.fif", "sub-*-ave.fif", "sub-*_epo*.fif")  # fmt: skip
    parts = ("fits/*.npz",)

    source: Path
    words: pd.DataFrame
    models: Sequence[EventModel]
    reading: Reading
    asked: OverlapOptions
    progress: Callable[[str], None]
    jobs: Jobs = 1

    def make(self, folder: Path) -> Path:
        """Fit the subjects that are not there yet, and test them together."""
        return analyze_recordings(
            self.source, self.words, folder, self.models, reading=self.reading, asked=self.asked, jobs=self.jobs,
            progress=self.progress,
        )  # fmt: skip


def _store(
    place: Path,
    recordings: Mapping[str, list[EegSession]],
    words: pd.DataFrame,
    models: Sequence[EventModel],
    how: Reading,
    wanted: OverlapOptions,
) -> Store[dict[str, Any]]:
    """Return where the account is kept; it holds for these files, words and choices, and this code."""
    files = {name: [stamp(session) for session in sessions] for name, sessions in recordings.items()}
    used = hash_of_words(words, variables_of(models))
    made_from = content_hash(files, used, [vars(model) for model in models], vars(how), vars(wanted))
    return Store.of(place, __name__, made_from, codec=OverlapRecord.codec())


def _channels(recordings: Mapping[str, list[EegSession]]) -> list[str]:
    """Return what was done to the recordings' channels."""
    flat = [session for sessions in recordings.values() for session in sessions]
    return together([(one.name, note) for one in flat for note in one.notes], "recording", len(flat))


def _finished(store: Store[dict[str, Any]]) -> bool:
    """Return whether nothing was left out that the same call may do."""
    found = store.read(_LAST) or {}
    return not (found.get("by_item") or {}).get("left_out")


def _over_stimuli(
    recordings: Mapping[str, list[EegSession]],
    tables: Mapping[str, list[pd.DataFrame]],
    fits: Mapping[str, OverlapRerp],
    group: OverlapGroup,
    words: pd.DataFrame,
) -> ItemCheck | str:
    """Return the by-item check, or why there is none: nobody asked for it by name, so the rest stands."""
    raws = {name: [session.raw for session in sessions] for name, sessions in recordings.items()}
    try:
        return overlap_by_item(raws, tables, fits, group, words)
    except CladaNeuroError as error:
        return str(error)


def _tied(name: str, sessions: list[EegSession], how: Reading, progress: Callable[[str], None]) -> TiedEvents:
    found = tie(name, sessions, how.table, delay=how.delay)
    progress(f"subject '{name}': {found.in_words()}")
    if how.soa:
        check_intervals(name, found.events, how.soa)
    return found


def _measured(
    tied: Mapping[str, TiedEvents], words: pd.DataFrame, models: Sequence[EventModel]
) -> tuple[dict[str, list[pd.DataFrame]], list[str]]:
    """Return the events with the columns that formulas need, their own, else the measures of their words, and lines on these."""
    flat = [table for one in tied.values() for table in one.events]
    own = {str(column) for table in flat for column in table}
    wanted = [name for name in variables_of(models) if name not in own]
    measured, said = add_measures(flat, words, wanted) if wanted else (flat, [])
    each = iter(measured)
    return {name: [next(each) for _ in one.events] for name, one in tied.items()}, said


def _in_words(fit: OverlapRerp) -> str:
    by_event = [
        f"{event}: {', '.join(f'{row.n:,} {row.outcome}' for row in rows.itertuples())}"
        for event, rows in fit.events.groupby("event", sort=False)
    ]
    used = "; ".join(by_event)
    left = ", ".join(f"{seconds:.3g} s {use}" for use, seconds in fit.seconds.items() if seconds)
    return f"{used}; {left}; condition number {fit.condition:.0f}"


def _write_tables(
    place: Path,
    fits: Mapping[str, OverlapRerp],
    tied: Mapping[str, TiedEvents],
    group: OverlapGroup | None,
    check: ItemCheck | str | None,
) -> pd.DataFrame:
    """Write all tables, and return the account of events."""
    waveforms = pd.concat([fit.table().assign(subject=name) for name, fit in fits.items()], ignore_index=True)
    write_table(waveforms, place / "waveforms.parquet")
    write_table(over_subjects(waveforms), place / "averages.parquet")
    events = [one.account.assign(subject=name, stage="events and words") for name, one in tied.items()]
    events += [fit.events.assign(subject=name, stage="regression", shown="") for name, fit in fits.items()]
    if isinstance(check, ItemCheck):
        events.append(check.account.assign(event=WORD, stage="by-item check"))
    account = pd.concat(events, ignore_index=True).fillna({"event": ""})
    write_table(account, place / "events.parquet")
    for stale in ("clusters.parquet", "tfce.parquet", "by_item.parquet", "scalp.parquet", "group-ave.fif"):
        (place / stale).unlink(missing_ok=True)
    if group is None:
        return account
    write_table(group.clusters, place / "clusters.parquet")
    if isinstance(check, ItemCheck):
        write_table(check.table, place / "by_item.parquet")
    averages = [mne.grand_average(list(betas)) for betas in group.betas.values()]
    for name, average in zip(group.betas, averages, strict=True):
        average.comment = name
    _write_waveforms(place / "group-ave.fif", averages)
    write_table(over_scalp(dict(zip(group.betas, averages, strict=True))), place / "scalp.parquet")
    maps = [
        _map(name, test, group.betas[name][0].ch_names)
        for name, test in group.tests.items()
        if test.tfce_p is not None
    ]
    if maps:
        write_table(pd.concat(maps, ignore_index=True), place / "tfce.parquet")
    return account


def _map(name: str, test: ClusterTest, channels: Sequence[str]) -> pd.DataFrame:
    t = pd.DataFrame(test.t_values, index=channels, columns=test.times).stack().rename("t")
    p = pd.DataFrame(test.tfce_p, index=channels, columns=test.times).stack().rename("p")
    both = pd.concat([t, p], axis=1).rename_axis(["channel", "time_s"]).reset_index()
    return both.assign(predictor=name)


def _write_waveforms(path: Path, waveforms: Sequence[mne.Evoked]) -> None:
    def write(part: Path) -> None:
        named = part.with_name(part.name + "-ave.fif")  # MNE insists on its own ending
        mne.write_evokeds(named, list(waveforms), overwrite=True, verbose="error")
        named.replace(part)

    write_atomic(path, write)


def _write_epochs(path: Path, epochs: mne.BaseEpochs) -> None:
    epochs.save(path, overwrite=True, fmt="single")  # MNE splits what is larger than 2 GB by the file's name


def _facts(
    recordings: Mapping[str, list[EegSession]],
    fits: Mapping[str, OverlapRerp],
    models: Sequence[EventModel],
    how: Reading,
    wanted: OverlapOptions,
    notes: list[str],
    check: ItemCheck | str | None,
) -> dict[str, Any]:
    subjects = {
        name: {
            "recordings": [session.name for session in recordings[name]],
            "channels": [f"{session.name}: {note}" for session in recordings[name] for note in session.notes],
            "seconds": fit.seconds,
            "condition": fit.condition,
            "inflation": fit.inflation,
            "penalty": fit.penalty,
            "n_blocks": fit.n_blocks,
            "notes": fit.notes,
        }
        for name, fit in fits.items()
    }
    return {
        "models": [vars(model) for model in models],
        "delay_s": how.delay,
        "soa_s": how.soa,
        **vars(wanted),
        "subjects": subjects,
        "notes": notes,
        "by_item": None
        if check is None
        else {"left_out": check}
        if isinstance(check, str)
        else {"words": check.words},
    }
