"""Single trials without their neighbours: epochs from which the responses to all other events are subtracted.

What is left is the word's own response, as fitted, and the residual. So single-trial amplitudes, by-item checks and mixed models can
be had from overlapping responses, with everything that takes epochs.
"""

from collections.abc import Sequence

import mne
import numpy as np
import pandas as pd

from clada_neuro.erp.overlap.events import coded_alike
from clada_neuro.erp.overlap.expansion import predict
from clada_neuro.erp.overlap.fit import as_lists
from clada_neuro.erp.overlap.recording import prepared
from clada_neuro.erp.overlap.result import OverlapRerp
from clada_neuro.erp.quiet import quiet
from clada_neuro.errors import DataError, did_you_mean


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
    types = [coding.model.event for coding in fit.codings]
    if event not in types:
        raise DataError(f"no event '{event}'{did_you_mean(event, types)}; there are {', '.join(types)}")
    number = types.index(event)
    parts = [_of_recording(raw, table, fit, number) for raw, table in zip(raws, tables, strict=True)]
    if not any(map(len, parts)):
        raise DataError(f"no epoch of '{event}' lies wholly inside the recording and outside spans left out")
    return parts[0] if len(parts) == 1 else mne.concatenate_epochs([part for part in parts if len(part)])


def _of_recording(raw: mne.io.BaseRaw, table: pd.DataFrame, fit: OverlapRerp, number: int) -> mne.EpochsArray:
    impulses = coded_alike(table, fit.codings)
    run = prepared("the recording", raw, fit.codings, impulses)
    train, model = run.trains[number], fit.codings[number].model
    responses = fit.responses()
    before = sum(other.n_columns for other in run.trains[:number])
    own = responses[before : before + train.n_columns].reshape(train.values.shape[1], -1)
    data = (train.values @ own).reshape(-1, train.length, len(run.channels)).transpose(0, 2, 1)
    at = train.samples[:, None] + np.arange(train.first, train.first + train.length)
    within = np.clip(at, 0, raw.n_times - 1)
    for channel, name in enumerate(run.channels):  # one at a time: an hour of all of them is large
        left = raw.get_data([name])[0] - predict(run.trains, responses[:, [channel]], raw.n_times)[:, 0]
        data[:, channel] += np.nan_to_num(left)[within]
    whole = ((at == within) & run.keep[within]).all(axis=1)
    samples = raw.first_samp + train.samples
    events = np.column_stack([samples, np.zeros_like(samples), np.ones_like(samples)])
    metadata = table.iloc[impulses[number].rows].reset_index(drop=True)
    info = mne.pick_info(raw.info, [raw.ch_names.index(name) for name in run.channels])
    tmin = train.first / raw.info["sfreq"]
    epochs = mne.EpochsArray(data, info, events, tmin, {model.event: 1}, metadata=metadata)
    return epochs.drop(np.flatnonzero(~whole), reason="LEFT_OUT")
