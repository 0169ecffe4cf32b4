"""The stimulus table: a row a text under our names, beside the columns of the source."""

import pandas as pd

from clada_neuro.stimuli import design
from clada_neuro.stimuli.cells import LABELS, typed
from clada_neuro.stimuli.columns import NAMES, Recognised
from clada_neuro.stimuli.critical import Located
from clada_neuro.stimuli.texts import Texts
from clada_neuro.stimuli.words import Divided

_ORDER = (*NAMES[:7], "words", "regions")


def stimulus_table(
    found: Recognised, texts: Texts, divided: Divided, located: list[Located | None]
) -> pd.DataFrame:
    """Return what was found of each text as a table.

    Raises
    ------
    StimulusError
        A name of a text that is empty, or given twice.
    """
    out: dict[str, list] = {
        "stimulus_id": _identify(found, texts),
        "item": texts.items,
        "condition": texts.conditions,
        "sentence": texts.sentences,
        "critical_word": [one and one.text for one in located],
        "critical_index": [None if one is None else one.index for one in located],
    }
    if "context" in found.columns:
        out["context"] = texts.contexts
    spaced = (sentence.split() for sentence in texts.sentences)
    if any(words != plain for words, plain in zip(divided.words, spaced, strict=True)):
        out["words"] = divided.words
    if divided.regions is not None:
        out["regions"] = divided.regions
    return _with_originals(found, out)


def _identify(found: Recognised, texts: Texts) -> list[str]:
    table, ids = found.table, texts.items
    advice = "; tell its texts apart by a column condition (--column condition=…) or stimulus_id"
    if "stimulus_id" in found.columns:
        ids, advice = found.stripped("stimulus_id"), ""
    elif "condition" in found.columns:
        ids = [f"{item}-{condition}" for item, condition in zip(texts.items, texts.conditions, strict=True)]
        advice = "; keep one row a text, or add a column stimulus_id with a name for each"
    seen: dict[str, int] = {}
    for position, name in enumerate(ids):
        if not name:
            raise table.error(position, "the stimulus_id is empty; every row needs one")
        if name in seen:
            what = f"item '{texts.items[position]}'"
            if "stimulus_id" in found.columns:
                what = f"stimulus_id '{name}'"
            elif "condition" in found.columns:
                what += f", condition '{texts.conditions[position]}'"
            raise table.error(position, f"{what} already stands in row {table.rows[seen[name]]}{advice}")
        seen[name] = position
    return ids


def _with_originals(found: Recognised, out: dict[str, list]) -> pd.DataFrame:
    table = found.table
    made = pd.DataFrame({name: out[name] for name in _ORDER if name in out})
    made["critical_index"] = made["critical_index"].astype("Int64")
    for name in made.columns.difference(["critical_index", "words", "regions"]):
        made[name] = made[name].astype("str")
    kept = typed(table, text={column for name, column in found.columns.items() if name in LABELS})
    for name in [str(column) for column in kept.columns]:
        if name not in made and not _would_act(name, kept[name]):
            made[name] = kept[name]
        elif name not in made or not table.reads(name, made[name]):
            made[f"{name}_original"] = kept[name]
    return made


def _would_act(name: str, own: pd.Series) -> bool:
    """Return whether a column of the caller's own would be taken for ours in a stimulus table."""
    return name == "context" or (name in ("words", "regions") and design.holds_lists(own))
