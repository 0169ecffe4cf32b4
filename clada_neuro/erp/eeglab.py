"""Which event an epoch of EEGLAB was cut around, where several fell into it.

MNE joins the names of all events of an epoch and keeps no latencies. Where words follow each other faster than epochs end, each
epoch holds the next words' events, too; its own is the one at 0 ms.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from clada_neuro.errors import DataError

_MILLISECONDS = 1e3


def names_at_zero(file: Path, sfreq: float) -> list[str]:
    """Return the name of every epoch's event at 0 ms.

    Parameters
    ----------
    file
        EEGLAB's ``.set`` with epochs.
    sfreq
        Samples a second: an event is at 0 within half a sample.

    Raises
    ------
    DataError
        For files of MATLAB 7.3, which SciPy does not read, and epochs with no event at 0, or several of different names.
    """
    try:
        whole = loadmat(file, squeeze_me=True, struct_as_record=False, variable_names=["EEG", "epoch"])
    except (NotImplementedError, ValueError):
        raise DataError(
            f"several events fall into an epoch of '{file.name}', and its file of MATLAB 7.3 is not read here; save it as an older "
            "version (pop_saveset, 'version', '6')"
        ) from None
    epochs = whole["EEG"].epoch if "EEG" in whole else whole["epoch"]
    return [
        _at_zero(file, number, epoch, sfreq) for number, epoch in enumerate(np.atleast_1d(epochs), start=1)
    ]


def _at_zero(file: Path, number: int, epoch: Any, sfreq: float) -> str:
    latencies = [float(value) for value in _several(epoch.eventlatency)]
    names = [str(value) for value in _several(epoch.eventtype)]
    half = 0.5 * _MILLISECONDS / sfreq
    at = {name for name, ms in zip(names, latencies, strict=True) if abs(ms) <= half}
    if len(at) != 1:
        what = (
            f"several events ({', '.join(sorted(at))})"
            if at
            else f"no event ({', '.join(names)} lie elsewhere)"
        )
        raise DataError(f"'{file.name}', epoch {number}: {what} at 0 ms, where its word is expected")
    return at.pop()


def _several(values: Any) -> Iterable[Any]:
    return values if isinstance(values, np.ndarray) else [values]
