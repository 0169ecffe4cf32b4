"""Epochs whose words are known, a file a subject, made once and kept in a folder with what became of every event."""

from collections.abc import Iterable
from typing import Any

import mne

from clada_neuro.cache import Store
from clada_neuro.erp.bids import joined_runs
from clada_neuro.erp.triggers import TiedEvents

KeptSubject = tuple[str, list[mne.BaseEpochs], TiedEvents]


def keep_epochs(store: Store[dict[str, Any]], last: str, subjects: Iterable[KeptSubject]) -> None:
    """Write each subject's sessions as ``sub-<name>_epo.fif``, and what became of every event and word in ``<last>.json``.

    Parameters
    ----------
    store
        The folder, and the key of what the epochs are made from. Epochs that it holds under this key are kept, and no subject
        is asked for; those of another key are taken away.
    last
        The name of the file that is written last: with it the epochs are complete.
    subjects
        Name, sessions in order, and how their events were tied.
    """
    if store.whole(last):
        return
    for earlier in store.folder.glob("*_epo*.fif"):
        earlier.unlink()
    accounts = {}
    for name, sessions, tied in subjects:
        joined_runs(name, sessions).save(store.folder / f"sub-{name}_epo.fif", overwrite=True)
        accounts[name] = tied.account.to_dict("records")
    store.write(last, {"subjects": accounts})
