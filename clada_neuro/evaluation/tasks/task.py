"""What a zero-shot task says of itself. A file of this folder with a list ``DECLARED`` is all that a new task takes.

Everything that names tasks (command line, tables, ``clada-neuro data``, documentation) lists what is declared.
`clada_neuro.evaluation.tasks.sciq` is an example with all parts: where its items are, how a row becomes one, its score.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from clada_neuro.artifacts import text_lines
from clada_neuro.errors import DataError
from clada_neuro.stimuli.registry import Source

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Item:
    """One question.

    Attributes
    ----------
    contexts : tuple of str
        What precedes each answer; all alike but where the answers stand inside the sentence (winogrande).
    answers : tuple of str
        Without the space that separates them from the context; one answer where the model completes a text.
    gold : int
        Position of the right answer.
    """

    contexts: tuple[str, ...]
    answers: tuple[str, ...]
    gold: int

    @classmethod
    def choice(cls, context: str, answers: list[str] | tuple[str, ...], gold: int) -> "Item":
        """Return an item whose answers share one context."""
        return cls((context,) * len(answers), tuple(answers), gold)


@dataclass(frozen=True)
class Hub:
    """A data set on the Hugging Face hub, as the evaluation harness names it, and the item that a row of it is."""

    path: str
    name: str | None
    split: str
    item: Callable[[Row], Item]


@dataclass(frozen=True)
class Local:
    """Files of a public source, how they are read as rows, and the item that a row is.

    Attributes
    ----------
    source : Source
        Its name is the folder under ``CLADA_NEURO_DATA`` and in the cache.
    read : callable
        From that folder to rows.
    item : callable
    """

    source: Source
    read: Callable[[Path], Iterable[Row]]
    item: Callable[[Row], Item]


def lines_of(file: str) -> Callable[[Path], list[Row]]:
    """Return what reads a file of JSON lines in a folder."""
    return partial(read_lines, file=file)


def read_lines(folder: Path, file: str) -> list[Row]:
    """Read a file of JSON lines."""
    rows = []
    for number, line in enumerate(text_lines((folder / file).read_text(encoding="utf-8")), start=1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise DataError(
                f"'{folder / file}', line {number} is not JSON ({error}); fetch it again"
            ) from error
    return rows


@dataclass(frozen=True, kw_only=True)
class Task:
    """A benchmark: where its items are and how they are put to the model.

    Prompts, targets and normalisation are those of lm-evaluation-harness 0.4.13 (the task's YAML file of that name).

    Attributes
    ----------
    name : str
    place : int
        Where it stands among the others in lists; gaps are there for what comes.
    metric : {"acc", "acc_norm"}
        The score that is averaged over tasks: `acc_norm`, accuracy by log-probability over the answer's number of
        characters, where the harness defines it.
    chance : float
        The score of guessing: one over the number of answers, 0 where a text is completed.
    local, hub : Local, Hub or None
        Where its items are; files are taken first.
    """

    name: str
    place: int
    metric: str
    chance: float
    local: Local | None = None
    hub: Hub | None = None
