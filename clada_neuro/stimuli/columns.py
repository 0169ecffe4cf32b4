"""Which column of a stimulus table plays which part: by its name, or as the caller declares."""

import re
from collections.abc import Mapping

import pandas as pd

from clada_neuro.errors import StimulusError, did_you_mean
from clada_neuro.stimuli.files import RawTable, as_text

NAMES = (
    "stimulus_id",
    "item",
    "condition",
    "sentence",
    "context",
    "critical_word",
    "critical_index",
    "words",
    "regions",
    "region_names",
    "word",
    "word_index",
    "is_critical",
)
# What a column does that someone may have named so for another reason.
_PARTS = {
    "stimulus_id": "identifiers of texts",
    "context": "preceding text",
    "words": "words of the sentence",
    "regions": "regions",
    "region_names": "names of the regions",
    "word": "a row a word",
    "word_index": "order of the words",
    "is_critical": "critical words",
}
AREAS = ("word", "word_index", "is_critical")
_KEYS = {"ialabel": "word", "iaid": "word_index"} | {name.replace("_", ""): name for name in NAMES}
Declared = Mapping[str, str | None]


def find_columns(table: RawTable, declared: Declared) -> dict[str, str]:
    """Return our names to the table's columns that play their part.

    Parameters
    ----------
    declared
        Our names to columns; to an empty string or None where no column plays that part, whatever its name.

    Raises
    ------
    StimulusError
        An unknown name, a declared column that is missing, or no column for what every table needs.
    """
    present = [str(name) for name in table.frame.columns]
    given = {name: column for name, column in declared.items() if column}
    for name in declared:
        if name not in NAMES:
            raise StimulusError(
                f"no column '{name}'{did_you_mean(name, list(NAMES))} can be declared; there are {', '.join(NAMES)}"
            )
    for name, column in given.items():
        if column not in present:
            raise _missing(table, column, f"declared as the {name}")
    found = _by_name([column for column in present if column not in given.values()])
    found = {name: column for name, column in found.items() if name not in declared} | given
    if areas := [name for name in AREAS if name in given]:
        if "sentence" in given:
            raise StimulusError(
                f"{areas[0]} is declared beside sentence; declare sentence for a row a text, word for a row a word"
            )
        found.pop("sentence", None)
    unused = AREAS if "sentence" in found else ("words",) if "word" in found else ()
    found = {name: column for name, column in found.items() if name not in unused or name in given}
    for name in ("item", "condition", "word" if "word" in found else "sentence"):
        if name not in found:
            raise _missing(
                table, name, f"or say which it is: --column {name}=…, in Python columns={{'{name}': …}}"
            )
    return found


def _by_name(columns: list[str]) -> dict[str, str]:
    """Find columns by name, whatever its case, spaces and underscores; one written as ours comes first."""
    plain = {re.sub(r"[\W_]", "", column).lower(): column for column in reversed(columns)}
    plain |= {column.replace("_", ""): column for column in columns if column in NAMES}
    return {name: plain[key] for key, name in _KEYS.items() if key in plain}


def without_own(table: RawTable, found: Mapping[str, str], declared: Declared) -> dict[str, str]:
    """Leave out columns that nobody declared and that do not divide sentences: ``words`` may be their number."""
    own = {
        name
        for name in ("words", "regions")
        if name in found and not declared.get(name) and not is_divided(table.frame[found[name]])
    }
    if "regions" not in found or "regions" in own:
        if declared.get("region_names"):
            raise StimulusError(
                f"{table.origin}: region_names is declared, but no column says where regions begin; declare regions, too"
            )
        own |= {"region_names"}
    return {name: column for name, column in found.items() if name not in own}


def is_divided(column: pd.Series) -> bool:
    """Return whether cells are lists or hold ``|``, so that they can say where words or regions begin."""
    return any("|" in cell if isinstance(cell, str) else hasattr(cell, "__iter__") for cell in column)


def acting(table: RawTable, found: Mapping[str, str]) -> list[str]:
    """Say in one line each which columns play a part that their name may not have been given for.

    ``stimulus_id``, written so, can mean nothing else.
    """
    idle = []
    if "regions" not in found:
        named = _by_name([str(column) for column in table.frame.columns]).get("region_names")
        says = f"column {named} would name regions, but no column says where they begin (regions); it does nothing"
        idle = [says] if named else []
    return idle + [
        f"{part}: column {found[name]}{_short(table, found) if name == 'context' else ''}"
        for name, part in _PARTS.items()
        if name in found and (name, found[name]) != ("stimulus_id", "stimulus_id")
    ]


def _short(table: RawTable, found: Mapping[str, str]) -> str:
    """Say how a ``context`` that looks like a factor, with a word or two in every cell, is declared to be none."""
    cells = [as_text(cell).split() for cell in table.frame[found["context"]]]
    longest = max(cells, key=len)
    if not 1 <= len(longest) <= 2:
        return ""
    return f" (such as '{' '.join(longest)}'; if that is no text, declare it away: --column context=)"


def _missing(table: RawTable, name: str, advice: str) -> StimulusError:
    present = [str(column) for column in table.frame.columns]
    hint = did_you_mean(name, present)
    return StimulusError(
        f"{table.origin} lacks the column '{name}'{hint} ({advice}); it has {', '.join(present)}"
    )
