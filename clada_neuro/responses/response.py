"""A response in words: what is measured, in which unit, and what more of it is called.

Known by the column's name: ``_uv`` is an amplitude in microvolts, ``_ms`` a time in milliseconds, ``rt`` and names that
end in ``time``, ``duration`` or ``latency`` are times in a unit that nobody stated, everything else is a number. The left
side of a formula may transform the column: ``log(rt_ms)``, ``-1000 / rt``; so may whoever made it: ``log_rt``.
"""

import re
from dataclasses import dataclass, replace
from functools import cache

from clada_neuro.numerals import decimals, fixed

_TIMES = {
    "rt": "reading time", "rts": "reading time", "reading_time": "reading time", "readingtime": "reading time",
    "reaction_time": "reaction time", "response_time": "response time",
}  # fmt: skip
_TIME = re.compile(r"(time|duration|latency)s?$")
_COMPONENT = re.compile(r"^([npm]\d+[a-z]?|e?lan|e?pnp|mmn|epn|lp[cp])$")
_NAME = re.compile(r"^`?(?P<name>[^\W\d][\w.]*)`?$")
_CALL = re.compile(r"^(?:(?:np|numpy)\.)?(?P<function>\w+)\((?P<inside>.*)\)$")
_QUOTIENT = re.compile(r"^(?P<minus>-?)\s*1(?P<thousands>000)?(?:\.0*)?\s*/\s*(?P<name>.+)$")
_LOGGED = re.compile(
    r"^(?:(?P<before>log|log2|log10|ln)_?(?P<rest>.+)|(?P<name>.+)_(?P<after>log|log2|log10|ln))$"
)
_LOGS = ("log", "log2", "log10", "log1p", "ln")
# Endings of names that say a unit in which nothing is converted or printed here; a factor of a thousand is soon lost.
_OTHER_UNITS = {"v", "mv", "nv", "pv", "s", "sec", "secs", "us", "ns", "min", "hz", "px", "cm", "deg"}
# Amplitudes before the word, and times that the experimenter set.
_NOT_MEASURED = re.compile(r"baseline|onset|offset|soa|isi|iti|delay|start|end|trigger|presentation|stimulus")


@dataclass(frozen=True)
class Response:
    """What a regression explains.

    Attributes
    ----------
    column : str
        The left side of the formula.
    name : str
        One of them in words: ``N400 amplitude``, ``reading time``.
    unit : str
        Of the numbers that were regressed: ``µV``, ``ms``, ``log ms``, ``log units``; empty where none is known.
    more, less : str
        A larger and a smaller one: ``more positive`` and ``more negative``, ``longer`` and ``shorter``, ``higher`` and
        ``lower``.
    rising : bool
        Whether a larger number is more of it; false for ``1 / rt``.
    is_time : bool
        Whether it is a time.
    several : str
        Several of them in words, where the name does not tell.
    """

    column: str
    name: str
    unit: str
    more: str
    less: str
    rising: bool = True
    is_time: bool = False
    several: str = ""

    @property
    def plural(self) -> str:
        """Several of them in words."""
        if self.several:
            return self.several
        if re.search(r"[^aeiou]y$", self.name):
            return f"{self.name[:-1]}ies"
        return self.name if self.name.endswith("s") else f"{self.name}s"

    @property
    def axis(self) -> str:
        """The label of an axis: ``N400 amplitude (µV)``."""
        return f"{self.name[:1].upper()}{self.name[1:]}" + (f" ({self.unit})" if self.unit else "")

    @property
    def up(self) -> str:
        """What larger numbers are, and smaller ones: ``Larger values are longer reading times``."""
        return f"Larger values are {self.toward(1.0)} {self.plural}"

    def toward(self, change: float) -> str:
        """Return what a change of the regressed number means: ``more negative``, ``longer``."""
        return self.more if (change > 0) == self.rising else self.less

    def quantity(self, value: float | None, se: float | None = None) -> str:
        """Return a value with its unit, its decimals following its standard error: ``−0.91 µV``, ``0.0126 log ms``."""
        return f"{fixed(value, decimals(se))} {self.unit}".rstrip()

    def per(self, scaled: bool) -> str:
        """Return the unit of a slope: ``µV per SD``, ``per unit``."""
        return f"{self.unit} per {'SD' if scaled else 'unit'}".lstrip()


def unknown_unit(column: str) -> str:
    """Return the ending of a name that looks like a unit, but is none that is known here: ``mv``, ``s``; else nothing."""
    ending = column.lower().rpartition("_")[2]
    return ending if ending in _OTHER_UNITS and "_" in column else ""


def is_response(name: str) -> bool:
    """Return whether a column is known by its name alone as something that was measured in people: an amplitude, a time."""
    lower = name.lower()
    return (lower.endswith(("_uv", "_ms")) or lower in _TIMES) and not _NOT_MEASURED.search(lower)


@cache
def response_of(column: str) -> Response:
    """Return what is known of a response from its name or its expression."""
    text = column.strip()
    if quotient := _QUOTIENT.match(text):
        return _reciprocal(
            column, response_of(quotient["name"]), bool(quotient["minus"]), quotient["thousands"]
        )
    if call := _CALL.match(text):
        inner = response_of(call["inside"].split(",")[0])
        if call["function"] in _LOGS:
            return _logarithm(column, inner, call["function"])
        if call["function"] == "scale":
            return replace(inner, column=column, unit="SD")
        return replace(inner, column=column) if call["function"] == "I" else _number(column, text)
    named = _NAME.match(text)
    return _column(column, named["name"]) if named else _number(column, text)


def _column(column: str, name: str) -> Response:
    lower = name.lower()
    if lower.endswith("_uv"):
        return Response(column, f"{_component(name[:-3])} amplitude", "µV", "more positive", "more negative")
    if (logged := _LOGGED.match(lower)) and _is_time(inner := logged["rest"] or logged["name"]):
        return _logarithm(column, _column(column, inner), logged["before"] or logged["after"])
    if _is_time(lower):
        stem = lower.removesuffix("_ms")
        words = _TIMES.get(stem) or stem.replace("_", " ").replace(".", " ")
        return Response(
            column, words if _TIME.search(words) else f"{words} time", "ms" if lower.endswith("_ms") else "",
            "longer", "shorter", is_time=True,
        )  # fmt: skip
    if lower.startswith("pupil"):
        return Response(column, "pupil size", "mm" if lower.endswith("_mm") else "", "larger", "smaller")
    return _number(column, name.replace("_", " "))


def _component(stem: str) -> str:
    return stem.upper() if _COMPONENT.match(stem.lower()) else stem.replace("_", " ")


def _is_time(name: str) -> bool:
    return name.endswith("_ms") or name in _TIMES or bool(_TIME.search(name))


def _number(column: str, words: str) -> Response:
    return Response(column, words, "", "higher", "lower")


def _logarithm(column: str, inner: Response, function: str) -> Response:
    log = "log" if function in ("ln", "log1p") else function
    return replace(inner, column=column, unit=f"{log} {inner.unit or 'units'}")


def _reciprocal(column: str, inner: Response, minus: bool, thousands: str | None) -> Response:
    per_second = inner.unit == "ms" and thousands
    unit = "1/s" if per_second else f"1/{inner.unit}" if inner.unit else "reciprocal units"
    return replace(inner, column=column, unit=unit, rising=minus)
