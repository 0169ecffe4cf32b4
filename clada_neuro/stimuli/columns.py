"""What is recognised of a stimulus table: which column plays which part, by its name or as the caller declares.

`Recognised` is the one place that holds it; every step of reading takes one and returns one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from clada_neuro.errors import StimulusError, did_you_mean
from clada_neuro.stimuli.files import RawTable
from clada_neuro.stimuli.segments import Cutter

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
INSTEAD = {
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


@dataclass(frozen=True)
class Recognised:
    """A stimulus table, and what was recognised of it so far.

    Attributes
    ----------
    table : RawTable
    declared : mapping
        What the caller says: our names to columns; to an empty string or None where no column plays that part, whatever its
        name.
    cutter : Cutter
        Where words end, where spaces do not say it.
    index_base : int or None
        0 or 1, what indices of critical words count from; None where the words themselves must tell.
    columns : mapping
        Our names to the columns that play their part.
    named : mapping
        The same as the file itself has them, before rows a word were joined.
    notes : tuple of str
        What was done to get there, a line each.
    conditions : tuple of str
        Those that had a sentence column each.
    """

    table: RawTable
    declared: Declared
    cutter: Cutter
    index_base: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()

    @property
    def present(self) -> list[str]:
        """The names of the table's columns."""
        return [str(name) for name in self.table.frame.columns]

    def called(self, name: str) -> list[str]:
        """Return the columns that are called as we call a part, whatever their case, spaces and underscores."""
        return [column for column in self.present if _plain(column) == _plain(name)]

    def values(self, name: str) -> list:
        """Return the cells that play a part as they came."""
        return list(self.table.frame[self.columns[name]])

    def cells(self, name: str) -> list[str]:
        """Return the cells that play a part as text, empty where no column does."""
        if name not in self.columns:
            return [""] * len(self.table.frame)
        return self.table.texts(self.columns[name])

    def stripped(self, name: str) -> list[str]:
        """Return the cells that play a part without white space around them."""
        return [cell.strip() for cell in self.cells(name)]


def find_columns(found: Recognised) -> Recognised:
    """Find the columns that play a part.

    Raises
    ------
    StimulusError
        An unknown name, a declared column that is missing, or no column for what every table needs.
    """
    table, declared, present = found.table, found.declared, found.present
    given = {name: column for name, column in declared.items() if column}
    for name in declared:
        if name not in NAMES:
            raise StimulusError(
                f"no column '{name}'{did_you_mean(name, list(NAMES))} can be declared; there are {', '.join(NAMES)}"
            )
    for name, column in given.items():
        if column not in present:
            raise _missing(table, column, f"declared as the {name}")
    columns = by_name([column for column in present if column not in given.values()])
    columns = {name: column for name, column in columns.items() if name not in declared} | given
    if areas := [name for name in AREAS if name in given]:
        if "sentence" in given:
            raise StimulusError(
                f"{areas[0]} is declared beside sentence; declare sentence for a row a text, word for a row a word"
            )
        columns.pop("sentence", None)
    unused = AREAS if "sentence" in columns else ("words",) if "word" in columns else ()
    columns = {name: column for name, column in columns.items() if name not in unused or name in given}
    for name in ("item", "condition", "word" if "word" in columns else "sentence"):
        optional = name in ("item", "condition")
        away = f"; nothing ({name}=) where there is none" if optional else ""
        advice = f"or say which it is: --column {name}=…, in Python columns={{'{name}': …}}{away}"
        if name not in columns and (not optional or (name not in declared and _hint(name, present))):
            raise _missing(table, name, advice)
    return replace(found, columns=columns, named=columns)


def by_name(columns: list[str]) -> dict[str, str]:
    """Find columns by name, whatever its case, spaces and underscores; one written as ours comes first."""
    plain = {_plain(column): column for column in reversed(columns)}
    plain |= {column.replace("_", ""): column for column in columns if column in NAMES}
    found = {name: plain[key] for key, name in _KEYS.items() if key in plain}
    for name, others in USUAL.items():
        called = [column for column in columns if _plain(column) in others]
        if name not in found and len(called) == 1:
            found[name] = called[0]
    return found


def _plain(column: str) -> str:
    return re.sub(r"[\W_]", "", column).lower()


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
    if name not in INSTEAD:
        return did_you_mean(name, present)
    alike = [column for column in present if did_you_mean(name, [_plain(column)], _MISSPELT)]
    return f" (did you mean '{alike[0]}'?)" if alike else ""
