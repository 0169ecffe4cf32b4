"""Tables in other shapes than a sentence a row: a sentence column a condition, and sentences in several columns."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from clada_neuro.errors import StimulusError, did_you_mean
from clada_neuro.stimuli.columns import Recognised
from clada_neuro.stimuli.files import RawTable
from clada_neuro.stimuli.segments import join_pieces

_OF_CONDITION = re.compile(r"sentence[\W_]+(.+)", re.IGNORECASE)
_LEADING_MARKS = re.compile(r"\s*[.,;:!?…]+")


def lengthen(found: Recognised, columns: Sequence[str] | None) -> Recognised:
    """Make a row a text of a table with a sentence column a condition; any other table stays as it is.

    Parameters
    ----------
    columns
        Columns whose names are conditions and whose cells are sentences. Where they are not named, ``sentence_good`` and
        ``sentence_bad`` are such columns, of the conditions ``good`` and ``bad``, if there is no ``sentence``.
        Columns that are there for every condition, as ``cloze_good`` and ``cloze_bad`` (or ``good_cloze``), become one.

    Raises
    ------
    StimulusError
        A column that is not there, or a table that has conditions beside.
    """
    table, declared, present = found.table, found.declared, found.present
    sentences = _declared(table, present, columns) if columns else _named_so(found)
    if not sentences:
        return found
    if found.called("condition") and "condition" not in declared:
        raise StimulusError(
            f"{table.origin} has a column condition beside the sentences of {', '.join(sentences)}; leave it out "
            "(--column condition=)"
        )
    cells = {condition: table.texts(column) for condition, column in sentences.items()}
    own = _of_each(present, sentences)
    taken = {*sentences.values(), *(name for of in own.values() for name in of)}
    shared = [name for name in present if name not in taken]
    places = [
        (place, condition)
        for place in range(len(table.frame))
        for condition in sentences
        if cells[condition][place].strip()
    ]
    rows = [place for place, _ in places]
    made = {name: table.frame[name].iloc[rows].to_list() for name in shared}
    if not found.called("item") and "item" not in declared:
        made["item"] = [str(place + 1) for place in rows]
    made["condition"] = [condition for _, condition in places]
    for name, of in {"sentence": list(sentences.values()), **own}.items():
        by = dict(zip(sentences, of, strict=True))
        made[name] = [table.frame[by[condition]].iloc[place] for place, condition in places]
    empty = len(table.frame) * len(sentences) - len(places)
    note = f"a sentence column a condition: {', '.join(f'{column} ({name})' for name, column in sentences.items())}"
    joined = "".join(f"; {', '.join(of)} become {name}" for name, of in own.items())
    left = f"; {empty} empty {'cell is' if empty == 1 else 'cells are'} left out" if empty else ""
    frame = pd.DataFrame(made, dtype=object)
    return replace(
        found,
        table=replace(table, frame=frame, rows=[table.rows[place] for place in rows]),
        notes=(*found.notes, note + joined + left),
        conditions=tuple(sentences),
    )


def _declared(table: RawTable, present: list[str], columns: Sequence[str]) -> dict[str, str]:
    if len(columns) < 2:
        raise StimulusError(f"one condition column, {columns[0]}, given; name one for each condition")
    return {name: _there(table, present, name) for name in columns}


def _named_so(found: Recognised) -> dict[str, str]:
    """Return the columns ``sentence_…`` by what follows, where there are several and no other sentence."""
    named = {match[1]: name for name in found.present if (match := _OF_CONDITION.fullmatch(name))}
    alone = found.called("sentence") or found.called("word")
    return {} if alone or len(named) < 2 or {"sentence", "word"} & set(found.declared) else named


def _there(table: RawTable, present: list[str], name: str) -> str:
    if name in present:
        return name
    raise StimulusError(
        f"{table.origin} lacks the column '{name}'{did_you_mean(name, present)}; it has {', '.join(present)}"
    )


def _of_each(present: list[str], sentences: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return what is there for every condition, by its name without the condition, which stands first or last."""
    found: dict[str, tuple[str, ...]] = {}
    first, *_ = sentences
    for name in present:
        for before, after in ((f"{first}_", ""), ("", f"_{first}")):
            kind = name.removeprefix(before).removesuffix(after)
            of = tuple(
                f"{before and condition + '_'}{kind}{after and '_' + condition}" for condition in sentences
            )
            if kind != name and kind not in present and kind != "sentence" and set(of) <= set(present):
                found[kind] = of
    return found


def join_columns(found: Recognised, columns: Sequence[str]) -> Recognised:
    """Make the sentences of a table of the texts of some columns in a row, and its regions of those columns.

    Empty parts are left out; what begins with a closing mark follows without a space, and the mark belongs to the part
    before it. A critical word that is one of the parts stands where its part does.
    """
    table, declared, cutter, present = found.table, found.declared, found.cutter, found.present
    parts = [_there(table, present, name.strip()) for name in columns]
    for own in ("sentence", "regions", "region_names"):
        if own in present and own not in parts and own not in declared:
            raise StimulusError(
                f"{table.origin} has a column {own} beside the sentence in columns {', '.join(parts)}; name it among them or "
                f"leave it out (--column {own}=)"
            )
    called = [name for name in parts if name in found.called("critical_word")]
    critical = declared.get("critical_word") or next(iter(called), None)
    indexed = "critical_index" in declared or found.called("critical_index")
    cells = [table.texts(name) for name in parts]
    made: dict[str, list] = {"sentence": [], "regions": [], "region_names": []}
    places: list[str] = []
    for row in zip(*cells, strict=True):
        pieces = _pieces([(name, text.strip()) for name, text in zip(parts, row, strict=True)])
        made["sentence"].append(join_pieces([text for _, text in pieces]))
        made["regions"].append("|".join(cutter.text(text) for _, text in pieces))
        made["region_names"].append("|".join(name for name, _ in pieces))
        before = (
            [text for _, text in pieces[: [name for name, _ in pieces].index(critical)]]
            if critical in dict(pieces)
            else None
        )
        places.append("" if before is None else str(len(cutter.words(join_pieces(before)))))
    frame = table.frame.rename(columns={name: f"{name}_original" for name in made if name in present})
    declares: dict[str, str | None] = {**declared, **{name: name for name in made}}
    if cutter.separator != "|" and any("|" in text for texts in cells for text in texts):
        declares |= {"regions": None, "region_names": None}
    if critical in parts and not indexed:
        made["critical_place"] = places
        declares |= {"critical_word": critical, "critical_index": "critical_place"}
    for name in ("context", "item", "condition", "words", "word"):
        if name not in declared and set(parts) & set(found.called(name)):
            declares[name] = None
    note = f"sentence: {' + '.join(parts)}, such as '{made['sentence'][0]}'"
    return replace(
        found,
        table=replace(table, frame=frame.assign(**made)),
        declared=declares,
        index_base=0 if "critical_place" in made else found.index_base,
        notes=(*found.notes, note),
    )


def _pieces(parts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the parts that are not empty, with marks that close a part moved to it from the next one."""
    out: list[tuple[str, str]] = []
    for name, text in parts:
        if out and (marks := _LEADING_MARKS.match(text)):
            out[-1] = (out[-1][0], out[-1][1] + marks[0].strip())
            text = text[marks.end() :].strip()
        if text:
            out.append((name, text))
    return out
