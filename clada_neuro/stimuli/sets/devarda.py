"""de Varda et al. 2023: by-word means of six ERP components, reading times and cloze for Frank's sentences.

Its sentence and item ids are not Frank's, so words are matched by the sentence's letters and the number of words
before them. The participants are Frank's, averaged over accepted trials: this is no replication.
"""

import re
from pathlib import Path

import pandas as pd

from clada_neuro.stimuli import datasets
from clada_neuro.stimuli.cleaning import Cleaning, Trials
from clada_neuro.stimuli.sets import frank

FILE = "all_measures.csv"
COMPONENTS = ("ELAN", "LAN", "N400", "EPNP", "P600", "PNP")
MEASURES = {name: f"{name.lower()}_uv" for name in COMPONENTS} | {
    "RTfirstfix": "first_fixation_ms",
    "RTfirstpass": "first_pass_ms",
    "RTrightbound": "right_bounded_ms",
    "RTgopast": "go_past_ms",
    "self_paced_reading_time": "self_paced_ms",
    "cloze_p_smoothed": "cloze",
    "rating_mean": "rating",
}
_KEYS = ["stimulus_id", "item", "stimulus", "sentence", "word_index", "word", "n_trials"]


def load_stimuli(folder: Path, name: str) -> pd.DataFrame:
    """Return Frank's 205 sentences, so that a trace of one serves both sets."""
    return datasets.load("frank2015")


def load_trials(folder: Path, name: str) -> Trials:
    """Return 1,482 words with their mean amplitudes (microvolt), reading times (ms) and smoothed cloze (0-1).

    ``n_trials`` is the number of Frank's accepted trials behind a word, the weight of its mean. The identifiers are
    those of ``frank2015``.
    """
    origin = datasets.fetch("frank2015")
    cleaning = Cleaning(align(pd.read_csv(folder / FILE, keep_default_na=False), frank.words(origin)))
    cleaning.remove(cleaning.frame["sent_nr"].isna(), "no match", "the sentence's text differs from Frank's")
    rejected = cleaning.frame["reject_word"].astype(bool)
    cleaning.remove(rejected, "reject_word", "first or last word of its sentence, or a clitic")
    frame = cleaning.frame.rename(columns=MEASURES)
    item = frame["item"].astype(int).astype(str)
    sentence = frame["sent_nr"].astype(int).astype(str)
    accepted = frank.load_trials(origin, "frank2015").frame["item"].value_counts()
    cleaning.frame = frame.assign(
        stimulus_id=sentence,
        sentence=sentence,
        item=item,
        stimulus=item,
        word_index=frame["context_length"],
        n_trials=item.map(accepted),
    )
    return cleaning.trials(_KEYS + list(MEASURES.values()))


def align(measures: pd.DataFrame, words: pd.DataFrame) -> pd.DataFrame:
    """Give de Varda's words Frank's ``sent_nr``, ``item`` and ``reject_word``; missing where no sentence matches.

    Its own column ``item`` (the words before) is replaced.
    """
    texts = words.groupby("sent_nr")["word"].agg(" ".join)
    numbers = {_letters(text): number for number, text in texts.items()}
    out = measures.assign(sent_nr=measures["sentence"].map(_letters).map(numbers))
    out["item"] = 100 * out["sent_nr"] + out["context_length"] + 1
    return out.merge(words[["item", "reject_word"]], on="item", how="left", validate="many_to_one")


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
