"""Single trials without their neighbours: epochs from which the responses to all other events are subtracted.

What is left is the word's own response, as fitted, and the residual. So single-trial amplitudes, by-item checks and mixed models can
be had from overlapping responses, with everything that takes epochs.
"""

from collections.abc import Iterator, Sequence

import mne
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clada_neuro.erp.overlap.events import coded_alike
from clada_neuro.erp.overlap.expansion import predict
from clada_neuro.erp.overlap.fit import as_lists
from clada_neuro.erp.overlap.recording import Recording, prepared
from clada_neuro.erp.overlap.result import OverlapRerp
from clada_neuro.erp.quiet import quiet
from clada_neuro.errors import DataError, did_you_mean

Array = NDArray[np.float64]
_STRETCH_S = 30.0


@quiet
def epochs_without_overlap(
    recordings: mne.io.BaseRaw | Sequence[mne.io.BaseRaw],
    events: pd.DataFrame | Sequence[pd.DataFrame],
    fit: OverlapRerp,
    event: str,
) -> mne.BaseEpochs:
    """Cut epochs around one type of event, without the responses to the others.

    Parameters
    ----------
    recordings, events
        As they were given to `fit.overlap_rerp`.
    fit
        What it returned.
    event
        The type whose epochs are wanted.

    Returns
    -------
    mne.Epochs
        From the model's tmin to its tmax, with the events' columns as metadata. Epochs that reach out of the recording or
        into samples that were left out are dropped, as ``LEFT_OUT`` in ``drop_log``.

    Raises
    ------
    DataError
        For a type that has no model, and where no epoch is whole.
    """
    raws, tables = as_lists("the recording", recordings, events)
    number = _number(fit, event)
    parts = [_of_recording(raw, table, fit, number) for raw, table in zip(raws, tables, strict=True)]
    if not any(map(len, parts)):
        raise DataError(f"no epoch of '{event}' lies wholly inside the recording and outside spans left out")
    return parts[0] if len(parts) == 1 else mne.concatenate_epochs([part for part in parts if len(part)])


def stretches_without_overlap(
    recordings: Sequence[mne.io.BaseRaw], events: Sequence[pd.DataFrame], fit: OverlapRerp, event: str
) -> Iterator[tuple[mne.EpochsArray, Array]]:
    """Yield the epochs of `epochs_without_overlap` and their predictors, stretch by stretch: an hour of them is large.

    Parameters
    ----------
    recordings, events, fit, event
        As in `epochs_without_overlap`.

    Yields
    ------
    mne.EpochsArray, array of shape (n_epochs, n_predictors)
        Those that are whole.
    """
    number = _number(fit, event)
    for raw, table in zip(recordings, events, strict=True):
        rows, run = _placed(raw, table, fit, number)
        for found, data in _alone(run, fit, number):
            epochs = _epochs(run, fit, number, data, found, table.iloc[rows[found]])
            yield epochs, run.trains[number].values[found]


def _number(fit: OverlapRerp, event: str) -> int:
    types = [coding.model.event for coding in fit.codings]
    if event not in types:
        raise DataError(f"no event '{event}'{did_you_mean(event, types)}; there are {', '.join(types)}")
    return types.index(event)


def _placed(
    raw: mne.io.BaseRaw, table: pd.DataFrame, fit: OverlapRerp, number: int
) -> tuple[NDArray[np.int64], Recording]:
    """Return the rows of the table that are events of a type with a value of every predictor, and the recording."""
    impulses = coded_alike(table, fit.codings)
    return impulses[number].rows, prepared("the recording", raw, fit.codings, impulses)


def _of_recording(raw: mne.io.BaseRaw, table: pd.DataFrame, fit: OverlapRerp, number: int) -> mne.EpochsArray:
    rows, run = _placed(raw, table, fit, number)
    train = run.trains[number]
    data, whole = np.zeros((len(rows), len(run.channels), train.length)), np.zeros(len(rows), dtype=bool)
    for found, own in _alone(run, fit, number):
        data[found], whole[found] = own, True
    epochs = _epochs(run, fit, number, data, np.arange(len(rows)), table.iloc[rows])
    return epochs.drop(np.flatnonzero(~whole), reason="LEFT_OUT")


def _alone(run: Recording, fit: OverlapRerp, number: int) -> Iterator[tuple[NDArray[np.int64], Array]]:
    """Yield, stretch by stretch, which events of a type are whole, and their recording without the other events' responses.

    The latter is in volts, shape (n_events, n_channels, n_times).
    """
    train, responses = run.trains[number], fit.responses()
    before = sum(other.n_columns for other in run.trains[:number])
    own = responses[before : before + train.n_columns].reshape(train.values.shape[1], train.length, -1)
    begins, n_times = train.samples + train.first, len(run.keep)
    inside = (begins >= 0) & (begins + train.length <= n_times)
    kept = np.concatenate([[0], run.keep.cumsum()])
    at = np.clip(begins, 0, max(0, n_times - train.length))
    whole = inside & (kept[at + train.length] - kept[at] == train.length)
    for start, stop in run.blocks(_STRETCH_S):
        found = np.flatnonzero(whole & (begins >= start) & (begins < stop))
        if not len(found):
            continue
        end = min(stop + train.length, n_times)
        near = [other.touching(start, end) for other in run.trains]
        left = run.data(start, end) - predict(near, responses, end - start)
        windows = left[(begins[found] - start)[:, None] + np.arange(train.length)]
        yield found, (windows + np.tensordot(train.values[found], own, axes=1)).transpose(0, 2, 1)


def _epochs(
    run: Recording,
    fit: OverlapRerp,
    number: int,
    data: Array,
    which: NDArray[np.int64],
    metadata: pd.DataFrame,
) -> mne.EpochsArray:
    raw, train, model = run.raw, run.trains[number], fit.codings[number].model
    samples = raw.first_samp + train.samples[which]
    events = np.column_stack([samples, np.zeros_like(samples), np.ones_like(samples)])
    info = mne.pick_info(raw.info, [raw.ch_names.index(name) for name in run.channels])
    tmin = train.first / raw.info["sfreq"]
    labels = metadata.reset_index(drop=True)
    return mne.EpochsArray(data, info, events, tmin, {model.event: 1}, metadata=labels, verbose="error")
