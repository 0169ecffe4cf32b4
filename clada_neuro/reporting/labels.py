"""Readable names of columns and terms, with their units."""

import re

from clada_neuro.measures.measure import Origin
from clada_neuro.measures.tokens import TOKENS
from clada_neuro.measures.words import WORDS
from clada_neuro.records.terms import contrast, factors, square
from clada_neuro.reporting.text import capitalized
from clada_neuro.responses.response import response_of

_MEASURES = {measure.name: measure for measure in (*TOKENS, *WORDS)}
# A word or two and the unit; what the package measures is declared with its measure.
_NAMES = {
    **{name: (measure.label, measure.axis_unit) for name, measure in _MEASURES.items()},
    "cloze": ("cloze probability", ""),
    "baseline": ("baseline amplitude", "µV"),
    "baseline_uv": ("baseline amplitude", "µV"),
    "n400_baseline_uv": ("baseline of the N400", "µV"),
    "p600_baseline_uv": ("baseline of the P600", "µV"),
}
_MEASURED = ("_uv", "_ms")
_LAG = re.compile(r"^(?P<name>.+?)_lag(?P<lag>\d+)(?P<unit>_bits)?$")
_NEXT = re.compile(r"^(?P<name>.+)_next$")


def words(name: str) -> str:
    """Return a column's or term's name in words: ``surprisal``, ``surprisal × activation sparsity``."""
    if len(parts := factors(name)) > 1:
        return " × ".join(map(words, parts))
    if level := contrast(name):
        return f"{words(level.factor)} {level.level}"
    if name == "(Intercept)":
        return "intercept"
    if lagged := _LAG.match(name):
        column = lagged["name"] + (lagged["unit"] or "")
        ago = "the previous word" if lagged["lag"] == "1" else f"the word {lagged['lag']} before"
        return f"{words(column)} of {ago}"
    if following := _NEXT.match(name):
        return f"{words(following['name'])} of the next word"
    if squared := square(name):
        return f"{words(squared)}²"
    stem = _NAMES.get(name) or _NAMES.get(f"{name}_bits")
    if stem:
        return stem[0]
    return response_of(name).name if name.lower().endswith(_MEASURED) else name.replace("_", " ")


def axis(name: str) -> str:
    """Return an axis label with its unit: ``Surprisal (bits)``."""
    unit = unit_of(_of_word(name))
    return capitalized(words(name)) + (f" ({unit})" if unit else "")


def is_measure(name: str) -> bool:
    """Return whether a variable comes from the language model, directly or from a neighboring word."""
    column = _of_word(name)
    measure = _MEASURES.get(column) or _MEASURES.get(f"{column}_bits")
    return measure is not None and measure.origin is not Origin.TEXT


def _of_word(name: str) -> str:
    """Return the column that a lag or a ``_next`` was made from; any other name unchanged."""
    if following := _NEXT.match(name):
        return following["name"]
    lagged = _LAG.match(name)
    return lagged["name"] + (lagged["unit"] or "") if lagged else name


def unit_of(name: str) -> str:
    """Return a predictor's unit, empty when it has none."""
    if known := _NAMES.get(name) or _NAMES.get(f"{name}_bits"):
        return known[1]
    if name.lower().endswith(_MEASURED):
        return response_of(name).unit
    return "bits" if name.endswith("_bits") else ""
