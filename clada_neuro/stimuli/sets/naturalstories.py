"""Natural Stories (Futrell et al. 2021): ten stories of about 1,000 words, with the mean reading time of each word.

Words come from ``processed_wordinfo.tsv``, the words that were read (``all_stories.tok`` misspells one).
"""

from pathlib import Path

import pandas as pd

from clada_neuro.stimuli.cleaning import Cleaning, Trials
from clada_neuro.stimuli.files import read_lines
from clada_neuro.stimuli.formats import read_stimuli

FILE = "processed_wordinfo.tsv"


def words(folder: Path) -> pd.DataFrame:
    """Return the 10,256 words in reading order: ``word``, ``zone`` (from 1), ``item`` (story) and reading times."""
    lines = [line.split("\t") for line in read_lines(folder / FILE).frame["sentence"]]
    frame = pd.DataFrame(lines[1:], columns=lines[0])
    numbers = [name for name in frame.columns if name != "word"]
    frame[numbers] = frame[numbers].apply(pd.to_numeric)
    return frame.sort_values(["item", "zone"]).reset_index(drop=True)


def load_stimuli(folder: Path, name: str) -> pd.DataFrame:
    """Return the ten stories, each as one text; there is no critical word."""
    texts = words(folder).groupby("item")["word"].agg(" ".join)
    numbers = texts.index.astype(str)
    made = {"stimulus_id": numbers, "item": numbers, "condition": "story", "sentence": texts.to_numpy()}
    return read_stimuli(pd.DataFrame(made))


def load_trials(folder: Path, name: str) -> Trials:
    """Return the words' self-paced reading times (``reading_time_ms``, mean over ``n_trials`` readers)."""
    frame = words(folder)
    story = frame["item"].astype(str)
    made = pd.DataFrame(
        {
            "stimulus_id": story,
            "item": story,
            "stimulus": story + ":" + frame["zone"].astype(str),
            "word_index": frame["zone"] - 1,
            "word": frame["word"],
            "n_trials": frame["nItem"],
            "reading_time_ms": frame["meanItemRT"],
        }
    )
    return Cleaning(made).trials(list(made.columns))
