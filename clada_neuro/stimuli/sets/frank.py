"""Frank et al. 2015: single-trial N400 to every word of 205 sentences, from ``data_EEG.csv`` (tab-separated).

The word "None" stays a word. A word is left out when it is the first or last of its sentence or a clitic
(``reject_word``), a trial when its signal had an artifact (``reject_data``) or its amplitude is missing.
"""

from pathlib import Path

import pandas as pd

from clada_neuro.stimuli.cleaning import Cleaning, Trials
from clada_neuro.stimuli.formats import read_stimuli

FILE = "data_EEG.csv"
IDENTIFIERS = ("subject", "stimulus_id", "item", "stimulus", "sentence", "word_index", "word")
TRIAL_COLUMNS = [*IDENTIFIERS, "n400_uv", "baseline_uv"]


def read(folder: Path) -> pd.DataFrame:
    """Return the file as served: 46,344 rows, one a subject × word, with its flags as booleans."""
    return pd.read_csv(
        folder / FILE,
        sep="\t",
        keep_default_na=False,
        na_values={"N400": [""], "baseline": [""], "log_freq": [""]},
    )


def words(folder: Path) -> pd.DataFrame:
    """Return the 1,931 word tokens in reading order: ``item``, ``sent_nr``, ``word_pos``, ``word``, ``reject_word``."""
    columns = ["item", "sent_nr", "word_pos", "word", "reject_word"]
    return read(folder)[columns].drop_duplicates().sort_values("item").reset_index(drop=True)


def load_stimuli(folder: Path, name: str) -> pd.DataFrame:
    """Return the 205 sentences rebuilt from their words; there is no critical word, every word was measured."""
    tokens = words(folder)
    sentences = tokens.groupby("sent_nr")["word"].agg(" ".join)
    numbers = sentences.index.astype(str)
    made = {"stimulus_id": numbers, "item": numbers, "condition": "natural", "sentence": sentences.to_numpy()}
    return read_stimuli(pd.DataFrame(made))


def load_trials(folder: Path, name: str) -> Trials:
    """Return 32,033 trials of 1,487 word tokens with ``n400_uv`` and ``baseline_uv`` (microvolt).

    ``item`` is the word token (100 × sentence + position), ``sentence`` the sentence's number (equal to
    ``stimulus_id``), ``word_index`` counts the sentence's words from 0.
    """
    cleaning = Cleaning(read(folder))
    cleaning.remove(
        cleaning.frame["reject_word"], "reject_word", "first or last word of its sentence, or a clitic"
    )
    cleaning.remove(
        cleaning.frame["reject_data"], "reject_data", "artifact in the EEG signal, such as a blink"
    )
    cleaning.remove(cleaning.frame["N400"].isna(), "missing", "no amplitude recorded")
    frame = cleaning.frame.rename(columns={"N400": "n400_uv", "baseline": "baseline_uv"})
    cleaning.frame = frame.assign(
        subject=frame["subj_nr"].astype(str),
        sentence=frame["sent_nr"].astype(str),
        stimulus_id=frame["sent_nr"].astype(str),
        item=frame["item"].astype(str),
        stimulus=frame["item"].astype(str),
        word_index=frame["word_pos"] - 1,
    )
    return cleaning.trials(TRIAL_COLUMNS)
