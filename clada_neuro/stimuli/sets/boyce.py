"""Boyce & Levy 2023: single-trial A-maze times to the words of Natural Stories, from ``boyce_2023.tsv``.

The file names a word by its sentence and its place there. Stories stand in the published order, and sentences are
counted through all of them, so they are cut from the running text as that file's makers cut them: after final
punctuation and quotes before a capital, but not between speech and its verb ("'That looks fun!' Abby exclaimed.").
The length of every word, punctuation included, stands beside it and is the check that the join is right.
"""

import re
from pathlib import Path

import pandas as pd

from clada_neuro.stimuli import datasets
from clada_neuro.stimuli.cleaning import Cleaning, Trials
from clada_neuro.stimuli.sets import naturalstories

FILE = "boyce_2023.tsv"
TRIAL_COLUMNS = [
    "subject",
    "stimulus_id",
    "item",
    "stimulus",
    "sentence",
    "sentence_position",
    "word_index",
    "word",
    "rt_ms",
]
_END = re.compile(r"[.!?]['\")]*$")
_TITLE = re.compile(r"^(?:Mr|Mrs|Dr|St)\.$")
_BEGIN = re.compile(r"^['\"(]*[A-Z0-9]")
_SPOKEN = re.compile(r"[!?]'$")
_VERBS = ("asked", "cried", "exclaimed")


def read(folder: Path) -> pd.DataFrame:
    """Return the file as served: 56,447 rows, one a reader × word."""
    return pd.read_csv(folder / FILE, sep="\t")


def load_stimuli(folder: Path, name: str) -> pd.DataFrame:
    """Return the ten stories, so that a trace of Natural Stories serves both sets."""
    return datasets.load("naturalstories")


def load_trials(folder: Path, name: str) -> Trials:
    """Return the times with ``sentence`` (counted through all stories, from 0) and ``sentence_position`` (from 1).

    Rows whose word is not in the stories, or has another length there, are removed and counted.
    """
    cleaning = Cleaning(_joined(read(folder), places(naturalstories.words(datasets.fetch("naturalstories")))))
    cleaning.remove(
        cleaning.frame["word"].isna(), "no such word", "the stories have no such sentence or place"
    )
    lengths = cleaning.frame["word"].str.len()
    cleaning.remove(lengths != cleaning.frame["wlen"], "another word", "the word there has another length")
    return cleaning.trials(TRIAL_COLUMNS)


def places(words: pd.DataFrame) -> pd.DataFrame:
    """Return the stories' words with their ``sentid`` and ``sentpos``, as the file names them."""
    numbers, count = [], 0
    for _, story in words.groupby("item", sort=True):
        for sentence in sentences(list(story["word"])):
            numbers += [(count, place) for place in range(1, len(sentence) + 1)]
            count += 1
    return words.assign(**dict(zip(("sentid", "sentpos"), zip(*numbers, strict=True), strict=True)))


def sentences(words: list[str]) -> list[list[str]]:
    """Cut the words of a story into sentences."""
    cut: list[list[str]] = [[]]
    for place, word in enumerate(words):
        cut[-1].append(word)
        following = words[place + 1 : place + 3]
        if following and _ends(word, following):
            cut.append([])
    return cut


def _ends(word: str, following: list[str]) -> bool:
    said_by = bool(_SPOKEN.search(word)) and following[-1].rstrip(".,") in _VERBS
    ended = _END.search(word) and not _TITLE.match(word) and _BEGIN.match(following[0])
    return bool(ended) and not said_by


def _joined(times: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    columns = ["sentid", "sentpos", "item", "zone", "word"]
    frame = times.merge(known[columns], on=["sentid", "sentpos"], how="left", validate="many_to_one")
    story = frame["item"].astype("Int64").astype("str")
    return frame.assign(
        stimulus_id=story,
        item=story,
        stimulus=story + ":" + frame["zone"].astype("Int64").astype("str"),
        sentence=frame["sentid"].astype("str"),
        sentence_position=frame["sentpos"],
        word_index=frame["zone"] - 1,
        rt_ms=frame["rt"].astype(float),
    )
