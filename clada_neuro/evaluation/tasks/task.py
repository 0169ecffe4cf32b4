"""What a zero-shot task is: items with a context, candidate answers and the right one."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clada_neuro.artifacts import text_lines
from clada_neuro.errors import DataError

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
    """A data set on the Hugging Face hub, as the evaluation harness names it."""

    path: str
    name: str | None
    split: str


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


@dataclass(frozen=True)
class Task:
    """A benchmark: where its items are and how they are put to the model.

    Prompts, targets and normalisation are those of lm-evaluation-harness 0.4.13 (the task's YAML file of that name).

    Attributes
    ----------
    name : str
        Also of the source in the registry of data sets.
    metric : {"acc", "acc_norm"}
        The score that is averaged over tasks: `acc_norm`, accuracy by log-probability over the answer's number of
        characters, where the harness defines it.
    file : str
    local : callable
        From a row of the file to an item.
    hub : Hub
    from_hub : callable
        From a row of the hub's data set to the same item.
    read : callable
        From the folder and `file` to rows.
    """

    name: str
    metric: str
    file: str
    local: Callable[[Row], Item]
    hub: Hub
    from_hub: Callable[[Row], Item]
    read: Callable[[Path, str], list[Row]] = read_lines
