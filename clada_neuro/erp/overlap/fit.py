"""Regression ERPs from continuous EEG: responses that overlap in time are estimated together.

With word onsets τ_k, y(t) = Σ_k Σ_p x_kp·f_p(t − τ_k) + noise is linear in the responses f at every lag: a time-expanded
regression (Smith & Kutas 2015, Ehinger & Dimigen 2019). All channels share one design and are solved at once.

EEG noise is correlated over time, so the usual standard errors are far too small. They are computed from the scores of
stretches of 30 s or longer, as for clustered data (a sandwich; Liang & Zeger 1986), with t on the number of stretches less one.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import mne
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clada_neuro.erp.overlap.columns import Columns, columns_of
from clada_neuro.erp.overlap.events import EventCoding, EventModel, Impulses, coded
from clada_neuro.erp.overlap.expansion import gram, predict, project
from clada_neuro.erp.overlap.recording import Recording, prepared
from clada_neuro.erp.overlap.result import IN_MODEL, OUTSIDE, OverlapRerp, account
from clada_neuro.erp.overlap.ridge import Fold, choose_penalty
from clada_neuro.erp.overlap.solve import Factor, factorized
from clada_neuro.erp.quiet import quiet
from clada_neuro.errors import DataError, FitError

Array = NDArray[np.float64]
_BLOCK_S, _MOST_BLOCKS = 30.0, 50
_FOLDS = 5
# Where overlap leaves less than a tenth of the information, a reader must know.
_INFLATED = 10.0
_FEW_BLOCKS = 10


@quiet
def overlap_rerp(
    recordings: mne.io.BaseRaw | Sequence[mne.io.BaseRaw],
    events: pd.DataFrame | Sequence[pd.DataFrame],
    models: Sequence[EventModel],
    *,
    ridge: bool = False,
    who: str = "the recording",
) -> OverlapRerp:
    """Estimate the responses to events that follow each other faster than their responses end.

    Parameters
    ----------
    recordings
        Continuous EEG of one subject in volts, filtered above slow drifts (a constant has no place in the model); several for
        several sessions. They may stay on disk: they are read in stretches, twice. All channels of type EEG enter, bad ones
        too, so that their waveforms can be interpolated like others.
    events
        One table for each recording: ``onset`` in seconds from its first sample, ``event`` (type), and the formulas' columns.
    models
        What is estimated for each type of event. Types without a model are counted, and their responses are in the noise.
    ridge
        Shrink all responses, by the penalty that predicts held-out stretches of time best. Standard errors then do not
        cover the shrinkage.
    who
        The subject, for messages.

    Returns
    -------
    OverlapRerp

    Raises
    ------
    DataError
        For events, channels or values that cannot be used, and recordings that differ in rate or channels.
    FitError
        Where a formula cannot be evaluated, or responses cannot be told apart.

    References
    ----------
    Smith, N. J., & Kutas, M. (2015). Regression-based estimation of ERP waveforms: II. Nonlinear effects, overlap correction,
    and practical considerations. *Psychophysiology, 52*, 169–181.
    Ehinger, B. V., & Dimigen, O. (2019). Unfold: an integrated toolbox for overlap correction, non-linear modeling, and
    regression-based EEG analysis. *PeerJ, 7*, e7838.
    """
    raws, tables = as_lists(who, recordings, events)
    codings, impulses = coded(tables, models)
    return estimated(who, raws, tables, codings, impulses, ridge)


def as_lists(
    who: str,
    recordings: mne.io.BaseRaw | Sequence[mne.io.BaseRaw],
    events: pd.DataFrame | Sequence[pd.DataFrame],
) -> tuple[list[mne.io.BaseRaw], list[pd.DataFrame]]:
    """Return recordings and tables as lists of the same length.

    Raises
    ------
    DataError
        When their numbers differ or there are none.
    """
    raws = [recordings] if isinstance(recordings, mne.io.BaseRaw) else list(recordings)
    tables = [events] if isinstance(events, pd.DataFrame) else list(events)
    if len(raws) != len(tables) or not raws:
        raise DataError(
            f"{who}: {len(raws)} recordings and {len(tables)} tables of events; give one table for each"
        )
    return raws, tables


def estimated(
    who: str,
    raws: Sequence[mne.io.BaseRaw],
    tables: Sequence[pd.DataFrame],
    codings: Sequence[EventCoding],
    impulses: Sequence[Sequence[Impulses]],
    ridge: bool,
) -> OverlapRerp:
    """Fit one subject whose formulas are evaluated already."""
    _check_alike(who, raws)
    names = [who if len(raws) == 1 else f"{who}, recording {number}" for number in range(1, len(raws) + 1)]
    runs = [prepared(name, raw, codings, part) for name, raw, part in zip(names, raws, impulses, strict=True)]
    sfreq = raws[0].info["sfreq"]
    columns = columns_of(codings, sfreq)
    blocks = _blocks(runs)
    folds = [_fold(part, columns) for part in _dealt(blocks, _FOLDS if ridge else 1)]
    with _named(who):
        penalty = choose_penalty(folds, columns) if ridge else None
        projected = reduce(np.add, [fold.projected for fold in folds])
        factor = factorized(_emptied(folds), columns, penalty or 0.0)
    found = factor.solve(projected)
    found, errors = _refined(found, blocks, columns, factor, penalty)
    inflation, inflated = _inflation(runs, factor, columns)
    bounds = np.cumsum([0, *(length for _, length in columns.lags)])
    estimates = columns.at_samples(found)
    parts = {name: slice(a, b) for name, a, b in zip(columns.names, bounds[:-1], bounds[1:], strict=True)}
    info = mne.pick_info(raws[0].info, [raws[0].ch_names.index(name) for name in runs[0].channels])
    notes = [*_notes(raws[0], len(blocks), ridge), *inflated]
    return OverlapRerp(
        columns.names, _account(codings, runs, impulses, tables), _seconds(runs), factor.condition, inflation, penalty,
        len(blocks), notes, tuple(codings), info,
        {name: first / sfreq for name, (first, _) in zip(columns.names, columns.lags, strict=True)},
        {name: estimates[part].T for name, part in parts.items()}, {name: errors[part].T for name, part in parts.items()},
    )  # fmt: skip


@contextmanager
def _named(who: str) -> Iterator[None]:
    """Say of an error in the equations whose they are."""
    try:
        yield
    except (DataError, FitError) as error:
        raise type(error)(f"{who}: {error}") from error


@dataclass(frozen=True)
class _Block:
    run: Recording
    start: int
    stop: int

    @property
    def n_kept(self) -> int:
        return int(self.run.keep[self.start : self.stop].sum())

    def project(self, data: Array) -> Array:
        return project([train.touching(self.start, self.stop) for train in self.run.trains], data)

    def predict(self, coefficients: Array) -> Array:
        near = [train.touching(self.start, self.stop) for train in self.run.trains]
        return predict(near, coefficients, self.stop - self.start)


def _blocks(runs: Sequence[Recording]) -> list[_Block]:
    """Return stretches of time that hold samples to estimate from."""
    total = sum(len(run.keep) / run.raw.info["sfreq"] for run in runs)
    seconds = max(_BLOCK_S, total / _MOST_BLOCKS)
    blocks = [_Block(run, start, stop) for run in runs for start, stop in run.blocks(seconds)]
    return [block for block in blocks if block.n_kept]


def _dealt(blocks: list[_Block], number: int) -> list[list[_Block]]:
    """Return the blocks in so many parts of neighbours."""
    edges = np.linspace(0, len(blocks), min(number, len(blocks)) + 1).astype(int)
    return [blocks[a:b] for a, b in pairwise(edges)]


def _fold(blocks: list[_Block], columns: Columns) -> Fold:
    """Return X'X, X'y and y'y of some blocks, in the columns that are estimated."""
    grams = []
    for run in {id(block.run): block.run for block in blocks}.values():
        within = np.zeros(len(run.keep), dtype=bool)
        for block in blocks:
            if block.run is run:
                within[block.start : block.stop] = True
        grams.append(gram(run.trains, run.keep & within))
    projected, squares = [], []
    for block in blocks:
        data = block.run.data(block.start, block.stop)
        projected.append(block.project(data))
        squares.append((data**2).sum(axis=0))
    moments = columns.summed(columns.summed(reduce(np.add, grams)).T)
    return Fold(moments, columns.summed(reduce(np.add, projected)), np.sum(squares, axis=0))


def _emptied(folds: list[Fold]) -> Array:
    """Return X'X of all folds, in the memory of the first."""
    total = folds[0].gram
    for fold in folds[1:]:
        total += fold.gram
    folds.clear()
    return total


def _refined(
    found: Array, blocks: list[_Block], columns: Columns, factor: Factor, penalty: float | None
) -> tuple[Array, Array]:
    """Return the solution after one step of refinement, and standard errors of the responses at every sample.

    The blocks' scores X'(y − Xb) add up to the gradient, which rounding leaves above 0 where columns are nearly dependent:
    one more solution removes it (corrected seminormal equations, Björck 1987).
    """
    responses = columns.at_samples(found)
    moved = []
    for block in blocks:
        data = block.run.data(block.start, block.stop)
        fitted = block.predict(responses) * block.run.keep[block.start : block.stop, None]
        moved.append(factor.solve(columns.summed(block.project(data - fitted))))
    total = np.sum(moved, axis=0)
    center = total / len(moved)
    variance = np.sum([columns.at_samples(move - center) ** 2 for move in moved], axis=0)
    n, p, b = sum(block.n_kept for block in blocks), len(found), len(blocks)
    if b < 2 or n <= p:
        return found, np.full_like(variance, np.nan)
    errors = np.sqrt(variance * b / (b - 1) * (n - 1) / (n - p))
    return (found if penalty else found + total), errors


def _inflation(
    runs: Sequence[Recording], factor: Factor, columns: Columns
) -> tuple[dict[str, float], list[str]]:
    """Return each predictor's largest variance relative to events that stand alone, and a line where it is large."""
    alone = []
    by_model = zip(*(run.trains for run in runs), strict=True)
    for trains in by_model:
        values = np.concatenate([train.values for train in trains])
        alone += list(np.linalg.inv(values.T @ values).diagonal())
    within = [columns.basis[:, columns.of == number] for number in range(len(columns.names))]
    shapes = [np.linalg.inv((part.T @ part).toarray()).diagonal() for part in within]
    isolated = np.concatenate([value * shape for value, shape in zip(alone, shapes, strict=True)])
    ratio = factor.inverse_diagonal() / isolated
    largest = {name: float(ratio[columns.of == number].max()) for number, name in enumerate(columns.names)}
    high = ratio > _INFLATED
    if not high.any():
        return largest, []
    return largest, [
        f"overlap makes the variance of {columns.described(high)} up to {ratio.max():,.0f} times that of events that stand "
        f"alone (condition number {factor.condition:,.0f}): at intervals that hardly vary, a response is barely told from the "
        "next event's; read these waveforms by their standard errors"
    ]


def _check_alike(who: str, raws: Sequence[mne.io.BaseRaw]) -> None:
    first = raws[0]
    for number, raw in enumerate(raws[1:], start=2):
        if raw.info["sfreq"] != first.info["sfreq"]:
            raise DataError(
                f"{who}: recordings 1 and {number} have {first.info['sfreq']:g} and {raw.info['sfreq']:g} samples a second; "
                "resample them to one rate (raw.resample)"
            )
        if odd := sorted(set(raw.ch_names) ^ set(first.ch_names)):
            raise DataError(f"{who}: recordings 1 and {number} differ in channel {', '.join(odd[:5])}")
        if raw.ch_names != first.ch_names or set(raw.info["bads"]) != set(first.info["bads"]):
            raise DataError(
                f"{who}: recordings 1 and {number} differ in the order or the bad ones of their channels; make them alike "
                "(raw.reorder_channels, info['bads'])"
            )


def _account(
    codings: Sequence[EventCoding],
    runs: Sequence[Recording],
    impulses: Sequence[Sequence[Impulses]],
    tables: Sequence[pd.DataFrame],
) -> pd.DataFrame:
    outcomes: list[Mapping[str, int]] = []
    for number in range(len(codings)):
        outside = sum(run.outside[number] for run in runs)
        parts = [run[number] for run in impulses]
        lost = pd.concat([part.lost["reason"] for part in parts]).value_counts(sort=False)
        inside = sum(len(part.onsets) for part in parts) - outside
        outcomes.append({IN_MODEL: inside, OUTSIDE: outside, **lost.astype(int).to_dict()})
    known = {coding.model.event for coding in codings}
    types = pd.concat(
        [table["event"].astype(str) for table in tables if "event" in table] or [pd.Series(dtype=str)]
    )
    others = types[~types.isin(known)].value_counts(sort=False)
    return account(codings, outcomes, {str(name): int(n) for name, n in others.items()})


def _seconds(runs: Sequence[Recording]) -> dict[str, float]:
    used = {"estimated from": sum(float(run.keep.sum() / run.raw.info["sfreq"]) for run in runs)}
    for run in runs:
        for reason, seconds in run.left_out.items():
            used[reason] = used.get(reason, 0.0) + seconds
    return used


def _notes(raw: mne.io.BaseRaw, n_blocks: int, ridge: bool) -> list[str]:
    notes = []
    if not raw.info["highpass"]:
        notes.append(
            "the recording says of no high-pass filter: a channel's offset then enters its responses; filter before "
            "(raw.filter(0.1, None))"
        )
    if n_blocks < _FEW_BLOCKS:
        notes.append(f"standard errors rest on {n_blocks} stretches of {_BLOCK_S:g} s: they are rough")
    if ridge:
        notes.append("responses are shrunken by ridge, which their standard errors do not cover")
    return notes
