"""Nieuwland et al. 2018: single-trial N400 to nouns after a/an, from the bcogsci package's ``df_eeg_complete.rda``.

The join of trials and texts that made this file has two defects, removed here and counted: both nouns of item 29
have cloze .90, so each of its trials stands there once a noun; and trials of items 77 and 78 whose cloze value
matches no text have no noun.
"""

import functools
import warnings
from pathlib import Path

import pandas as pd

from clada_neuro.artifacts import cache_folder
from clada_neuro.cache import TABLE, Store
from clada_neuro.stimuli.cleaning import Cleaning, Trials
from clada_neuro.stimuli.formats import read_stimuli

FILE = "df_eeg_complete.rda"
TRIAL_COLUMNS = [
    "subject",
    "stimulus_id",
    "item",
    "stimulus",
    "condition",
    "word_index",
    "cloze",
    "lab",
    "n400_uv",
]


def clean(folder: Path) -> Cleaning:
    """Read and clean the file: 25,322 rows, 334 subjects, 79 items, 158 item × noun pairs, upstream's columns."""
    cleaning = Cleaning(_read(folder / FILE))
    nouns = cleaning.frame.groupby(["item", "cloze"])["noun"].transform("nunique")
    cleaning.remove(
        nouns > 1,
        "ambiguous noun",
        "the item's nouns share a cloze value, so each trial stands there once a noun and the noun shown is unknown",
    )
    cleaning.remove(
        cleaning.frame["noun"].isna(), "no text", "the trial's cloze value matches no noun upstream"
    )
    return cleaning


def load_stimuli(folder: Path, name: str) -> pd.DataFrame:
    """Return the 158 sentences (sentence + article + noun + end); the critical word is the noun.

    ``condition`` is ``expected`` for the item's noun with the higher cloze probability, else ``unexpected``.
    """
    return read_stimuli(_texts(clean(folder).frame), index_base=0)


def load_trials(folder: Path, name: str) -> Trials:
    """Return the trials with ``cloze`` (0-1), ``lab`` and ``n400_uv`` (microvolt, as distributed)."""
    cleaning = clean(folder)
    texts = _texts(cleaning.frame)
    frame = cleaning.frame.rename(columns={"subj": "subject", "n400": "n400_uv"})
    frame["stimulus_id"] = frame["item"].astype(str) + "-" + frame["noun"]
    texts["stimulus"] = texts["item"] + ":" + texts["critical_word"]  # every item has one context
    texts = texts.rename(columns={"critical_index": "word_index"})
    known = texts[["stimulus_id", "item", "stimulus", "condition", "word_index"]]
    cleaning.frame = frame.drop(columns="item").merge(
        known, on="stimulus_id", how="left", validate="many_to_one"
    )
    return cleaning.trials(TRIAL_COLUMNS)


def _texts(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the sentences that the trials are of, as `read_stimuli` takes them."""
    texts = trials.drop_duplicates(["item", "noun"]).sort_values(["item", "cloze"], ascending=[True, False])
    before = texts["sentence"] + " " + texts["article"]
    return pd.DataFrame(
        {
            "stimulus_id": texts["item"].astype(str) + "-" + texts["noun"],
            "item": texts["item"].astype(str),
            "condition": _conditions(texts),
            "sentence": before + " " + texts["noun"] + " " + texts["end"],
            "critical_word": texts["noun"],
            "critical_index": before.str.split().str.len().astype("Int64"),
            "cloze": texts["cloze"],
        }
    ).reset_index(drop=True)


@functools.lru_cache(maxsize=1)
def _read(place: Path) -> pd.DataFrame:
    """Return the table as served; parsing takes seconds, so its result is kept in the cache."""
    store = Store.of(cache_folder("parsed"), __name__, place, codec=TABLE)
    return store.once(store.key, lambda: _parse(place))


def _parse(place: Path) -> pd.DataFrame:
    import rdata

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Missing constructor for R class")
        frame = next(iter(rdata.read_rda(place).values())).reset_index(drop=True)
    whole = ["item", "cloze_ans", "N"]
    return frame.astype({name: "int64" for name in whole} | {"subj": "str", "lab": "str"})


def _conditions(texts: pd.DataFrame) -> pd.Series:
    highest = texts.groupby("item")["cloze"].transform("max")
    return (texts["cloze"] == highest).map({True: "expected", False: "unexpected"})
