"""Which of the columns that were found do play their part: their names may have been given for another reason."""

from collections.abc import Iterator
from dataclasses import replace

from clada_neuro.errors import StimulusError
from clada_neuro.stimuli.columns import AREAS, INSTEAD, Recognised

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


def acting(found: Recognised) -> Recognised:
    """Leave out columns that nobody declared and that divide no sentence (``words`` may be their number); say which act.

    Raises
    ------
    StimulusError
        Names of regions that no column tells apart, or a separator that is needless or occurs nowhere.
    """
    own = {
        name
        for name in ("words", "regions")
        if name in found.columns and not found.declared.get(name) and not _divides(found.values(name))
    }
    if "regions" not in found.columns or "regions" in own:
        if found.declared.get("region_names"):
            raise StimulusError(
                f"{found.table.origin}: region_names is declared, but no column says where regions begin; declare regions, too"
            )
        own |= {"region_names"}
    columns = {name: column for name, column in found.columns.items() if name not in own}
    found = replace(found, columns=columns)
    _check_separator(found)
    return replace(found, notes=(*found.notes, *_said(found)))


def _divides(cells: list[object]) -> bool:
    """Return whether cells are lists or hold ``|``, so that they can say where words or regions begin."""
    return any("|" in cell if isinstance(cell, str) else hasattr(cell, "__iter__") for cell in cells)


def _check_separator(found: Recognised) -> None:
    separator = found.cutter.separator
    if separator is None:
        return
    if other := next((name for name in ("word", "words", "word_spans") if name in found.columns), ""):
        raise StimulusError(
            f"{found.table.origin}: a separator is given beside the column {found.columns[other]} ({other}), which says where "
            f"words begin, too; leave one out (--column {other}=)"
        )
    sentences = found.cells("sentence")
    if not any(separator in sentence for sentence in sentences):
        raise found.table.error(
            0,
            f"the separator '{separator}' occurs in no sentence, such as '{sentences[0][:60]}'; give the one that does",
        )


def _said(found: Recognised) -> Iterator[str]:
    """Say in one line each which columns play a part that their name may not have been given for.

    An item, a condition and a ``stimulus_id`` that are called so, or declared, can mean nothing else; of those that are
    missing it is said what stands for them.
    """
    named = {name: column for name, column in found.named.items() if name in found.columns or name in AREAS}
    for name, instead in INSTEAD.items():
        numbered = name == "item" and "stimulus_id" in named
        if name not in named and name not in found.declared and not numbered:
            yield f"no column {name}: {instead}"
    if "regions" not in named and (column := found.named.get("region_names")):
        yield f"column {column} would name regions, but no column says where they begin (regions); it does nothing"
    for name, part in _PARTS.items():
        if name in named and not _goes_without_saying(name, named[name], found):
            yield f"{part}: column {named[name]}{_short(found) if name == 'context' else ''}"


def _goes_without_saying(name: str, column: str, found: Recognised) -> bool:
    if name == "stimulus_id":
        return column == name
    return name in ("item", "condition") and (name in found.declared or column in found.called(name))


def _short(found: Recognised) -> str:
    """Say how a ``context`` that looks like a factor, with a word or two in every cell, is declared to be none."""
    longest = max((cell.split() for cell in found.cells("context")), key=len)
    if not 1 <= len(longest) <= 2:
        return ""
    return f" (such as '{' '.join(longest)}'; if that is no text, declare it away: --column context=)"
