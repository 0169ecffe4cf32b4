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
    "word_spans",
    "regions",
    "region_names",
    "word",
    "word_index",
    "is_critical",
    "space_after",
)
# What a column does that someone may have named so for another reason.
_PARTS = {
    "stimulus_id": "identifiers of texts",
    "context": "preceding text",
    "item": "items",
    "condition": "conditions",
    "words": "words of the sentence",
    "word_spans": "characters of the words",
    "regions": "regions",
    "region_names": "names of the regions",
    "word": "a row a word",
    "word_index": "order of the words",
    "is_critical": "critical words",
    "space_after": "words that a space follows",
}
_INSTEAD = {
    "item": "every text is an item of its own, numbered from 1 as the texts stand",
    "condition": "all texts are of one condition",
}
# What may be missing is missed only where a name is all but its own: items, conditons; not position or term.
_MISSPELT = 0.85
AREAS = ("word", "word_index", "is_critical", "space_after")
_KEYS = {"ialabel": "word", "iaid": "word_index"} | {name.replace("_", ""): name for name in NAMES}
# What else the same thing is called, without case, blanks and underscores: taken where only one column is called so.
USUAL = {
    "item": ("itemnum", "itemnumber", "itemnr", "itemno", "itemid"),
    "condition": ("cond", "conditionname", "conditionlabel"),
    "stimulus_id": ("stimid",),
}
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
        optional = name in ("item", "condition")
        away = f"; nothing ({name}=) where there is none" if optional else ""
        advice = f"or say which it is: --column {name}=…, in Python columns={{'{name}': …}}{away}"
        if name not in found and (not optional or (name not in declared and _hint(name, present))):
            raise _missing(table, name, advice)
    return found


def _by_name(columns: list[str]) -> dict[str, str]:
    """Find columns by name, whatever its case, spaces and underscores; one written as ours comes first."""
    plain = {_plain(column): column for column in reversed(columns)}
    plain |= {column.replace("_", ""): column for column in columns if column in NAMES}
    found = {name: plain[key] for key, name in _KEYS.items() if key in plain}
    for name, others in USUAL.items():
        called = [column for column in columns if _plain(column) in others]
        if name not in found and len(called) == 1:
            found[name] = called[0]
    return found


def same_name(column: str, name: str) -> bool:
    """Return whether a column is called as we call it, whatever its case, spaces and underscores."""
    return _plain(column) == _plain(name)


def _plain(column: str) -> str:
    return re.sub(r"[\W_]", "", column).lower()


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


def acting(table: RawTable, found: Mapping[str, str], declared: Declared) -> list[str]:
    """Say in one line each which columns play a part that their name may not have been given for.

    An item, a condition and a ``stimulus_id`` that are called so, or declared, can mean nothing else; of those that are
    missing it is said what stands for them.
    """
    lines = [
        f"no column {name}: {instead}"
        for name, instead in _INSTEAD.items()
        if name not in found and name not in declared and not (name == "item" and "stimulus_id" in found)
    ]
    if "regions" not in found:
        named = _by_name([str(column) for column in table.frame.columns]).get("region_names")
        says = f"column {named} would name regions, but no column says where they begin (regions); it does nothing"
        lines += [says] if named else []
    return lines + [
        f"{part}: column {found[name]}{_short(table, found) if name == 'context' else ''}"
        for name, part in _PARTS.items()
        if name in found and not _goes_without_saying(name, found[name], declared)
    ]


def _goes_without_saying(name: str, column: str, declared: Declared) -> bool:
    if name == "stimulus_id":
        return column == name
    return name in ("item", "condition") and (name in declared or _plain(column) == name)


def _short(table: RawTable, found: Mapping[str, str]) -> str:
    """Say how a ``context`` that looks like a factor, with a word or two in every cell, is declared to be none."""
    cells = [as_text(cell).split() for cell in table.frame[found["context"]]]
    longest = max(cells, key=len)
    if not 1 <= len(longest) <= 2:
        return ""
    return f" (such as '{' '.join(longest)}'; if that is no text, declare it away: --column context=)"


def _missing(table: RawTable, name: str, advice: str) -> StimulusError:
    present = [str(column) for column in table.frame.columns]
    return StimulusError(
        f"{table.origin} lacks the column '{name}'{_hint(name, present)} ({advice}); it has {', '.join(present)}"
    )


def _hint(name: str, present: list[str]) -> str:
    """Say which columns could be the missing one."""
    called = [column for column in present if _plain(column) in USUAL.get(name, ())]
    if called:
        return f" ({', '.join(called)} could each be it)"
    if name not in _INSTEAD:
        return did_you_mean(name, present)
    alike = [column for column in present if did_you_mean(name, [_plain(column)], _MISSPELT)]
    return f" (did you mean '{alike[0]}'?)" if alike else ""
