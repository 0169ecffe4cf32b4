"""A simulated BIDS data set of people who read sentences word by word, for demonstrations and tests of everything that reads one."""

from pathlib import Path
from shutil import rmtree

import mne
import numpy as np
import pandas as pd

from clada_neuro.cache import DOCUMENT, Store
from clada_neuro.erp.bids import mne_bids
from clada_neuro.erp.quiet import quiet
from clada_neuro.erp.simulate_raw import READING_EFFECTS, simulate_reading

TASK, WORD = "reading", "word"
_LAST = "simulation"  # the file that is written last: with it the recordings are complete
_SPREAD = 0.25  # of a component's effects over readers, as a share of each
_COLUMNS = {
    "trial_type": "kind of event",
    "stimulus_id": "text that the word is in",
    "item": "sentence frame",
    "condition": "version of the sentence",
    "word_index": "position in the text, from 0",
    "word": "as it was shown",
    "simulated": "whether the data are simulated",
}


@quiet
def simulate_bids(
    words: pd.DataFrame,
    root: str | Path,
    *,
    n_readers: int = 12,
    soa: tuple[float, float] = (0.35, 0.55),
    pause: float = 1.0,
    sfreq: float = 100.0,
    noise_uv: float = 8.0,
    seed: int = 0,
) -> Path:
    """Write continuous recordings of readers as a BIDS folder (BrainVision files); one that was made from the same is kept.

    Each reader reads every item in one condition, conditions rotating over readers, in an order of their own. What the
    components of `simulate_raw.READING_EFFECTS` do varies from reader to reader.

    Parameters
    ----------
    words
        All words of the texts in order: ``stimulus_id``, ``item``, ``condition``, ``word_index``, ``word`` and
        ``surprisal_bits`` (missing for first words, which count as average).
    root
        The folder; it is emptied.
    n_readers, seed
        How many; the same seed and words give the same samples.
    soa
        Bounds of the seconds from word to word.
    pause
        Seconds added after a text.
    sfreq
        Samples per second.
    noise_uv
        Root mean square of the background EEG, µV.

    Returns
    -------
    Path
        ``root``. What was planted in each reader stands in ``sourcedata/simulation.json``: ``effects``, by reader, component and
        term, as `simulate_raw.simulate_reading` takes them.

    Raises
    ------
    DataError
        Without mne-bids.
    """
    bids, place = mne_bids(), Path(root)
    chosen = (words, n_readers, soa, pause, sfreq, noise_uv, seed)
    store = Store.of(place / "sourcedata", __name__, *chosen, codec=DOCUMENT)
    if store.has(_LAST):
        return place
    rmtree(place, ignore_errors=True)
    predictors = list(
        dict.fromkeys(name for terms in READING_EFFECTS.values() for name in terms if name != "intercept")
    )
    filled = words.assign(
        **{name: words[name].astype(float).fillna(words[name].mean()) for name in predictors}
    )
    planted = {}
    for reader in range(n_readers):
        rng = np.random.default_rng([seed, reader])
        effects = {
            component: {term: value * (1 + _SPREAD * rng.standard_normal()) for term, value in terms.items()}
            for component, terms in READING_EFFECTS.items()
        }
        made = simulate_reading(
            _presented(filled, reader, rng), effects=effects, soa=soa, pause=pause, sfreq=sfreq, noise_uv=noise_uv,
            seed=int(rng.integers(2**31)),
        )  # fmt: skip
        name = f"{reader + 1:02d}"
        planted[name] = effects
        _write(bids, place, name, made.raw, made.events)
    bids.make_dataset_description(
        path=place,
        name="SIMULATED word-by-word reading",
        authors=["clada-neuro"],
        overwrite=True,
        verbose="error",
    )
    store.write(_LAST, {"effects": planted})
    return place


def _presented(words: pd.DataFrame, reader: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return the words of one version of each item, texts shuffled."""
    texts = words.drop_duplicates("stimulus_id")[["stimulus_id", "item"]]
    versions = texts.groupby("item", sort=False)["stimulus_id"].agg(list)
    chosen = [own[(number + reader) % len(own)] for number, own in enumerate(versions)]
    order = [chosen[k] for k in rng.permutation(len(chosen))]
    return words.set_index("stimulus_id").loc[order].reset_index()


def _write(bids: object, root: Path, subject: str, raw: mne.io.RawArray, events: pd.DataFrame) -> None:
    samples = np.round(events["onset"].to_numpy(float) * raw.info["sfreq"]).astype(int)
    array = np.column_stack([samples, np.zeros_like(samples), np.ones_like(samples)])
    with raw.info._unlock():
        raw.info["line_freq"] = 50.0
    path = bids.BIDSPath(subject=subject, task=TASK, datatype="eeg", root=root)  # type: ignore[attr-defined]
    events = events.assign(trial_type=WORD)
    known = {name: said for name, said in _COLUMNS.items() if name in events}
    bids.write_raw_bids(  # type: ignore[attr-defined]
        raw, path, events=array, event_id={WORD: 1}, event_metadata=events[list(known)], extra_columns_descriptions=known,
        format="BrainVision", allow_preload=True, overwrite=True, verbose="error",
    )  # fmt: skip
