"""Formulas over the surprisals of regions, as SyntaxGym suites state their predictions.

``(6;%mismatch%) > (6;%match%)``: a region's number (``*``: all of them) and a condition, numbers, ``+ -``, comparisons
``< > =``, ``&`` and ``|``, and brackets. Operators bind in this order, from the left.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from clada_neuro.errors import StimulusError

_TOKEN = re.compile(r"\s*(?:\(\s*(\d+|\*)\s*;\s*%([^%]+)%\s*\)|(\d+\.?\d*|\.\d+)|([-+<>=&|()\[\]]))")
# Surprisals this near are equal, as in syntaxgym-core.
_RELATIVE, _ABSOLUTE = 1e-5, 1e-3
_BRACKETS = {"(": ")", "[": "]"}
Bits = Mapping[tuple[str, str], float]  # of each condition and region


@dataclass(frozen=True)
class Prediction:
    """A prediction of a suite: a name and a formula that is true or false of every item."""

    name: str
    formula: str

    def regions(self) -> set[tuple[str, str]]:
        """Return the conditions and regions that the formula names."""
        used: set[tuple[str, str]] = set()

        class Noting(dict[tuple[str, str], float]):
            def __missing__(self, key: tuple[str, str]) -> float:
                used.add(key)
                return 0.0

        _Parser(self.formula, Noting()).truth()
        return used

    def holds(self, bits: Bits) -> bool | None:
        """Return whether the formula is true of the surprisals of one item; None where one of them is missing (NaN).

        A region without words, which `bits` does not name, has none: 0.
        """
        values = {key: bits.get(key, 0.0) for key in self.regions()}
        if any(map(math.isnan, values.values())):
            return None
        return _Parser(self.formula, values).truth()


class _Parser:
    """Reads a formula and computes its value on the way."""

    def __init__(self, formula: str, bits: Bits) -> None:
        self.formula, self.bits = formula, bits
        self.tokens = [*_tokens(formula), ("", "end")]

    def truth(self) -> bool:
        value = self._either()
        if self.tokens[0][1] != "end":
            raise self._error(f"'{self.tokens[0][0]}' is not expected there")
        if not isinstance(value, bool):
            raise self._error("it compares nothing, so it is neither true nor false")
        return value

    def _either(self) -> float | bool:
        return self._chain(self._both, {"|": lambda a, b: self._bool(a) | self._bool(b)})

    def _both(self) -> float | bool:
        return self._chain(self._compared, {"&": lambda a, b: self._bool(a) & self._bool(b)})

    def _compared(self) -> float | bool:
        return self._chain(
            self._sum,
            {
                "<": lambda a, b: self._number(a) < self._number(b),
                ">": lambda a, b: self._number(a) > self._number(b),
                "=": lambda a, b: (
                    abs(self._number(a) - self._number(b)) <= _ABSOLUTE + _RELATIVE * abs(self._number(b))
                ),
            },
        )

    def _sum(self) -> float | bool:
        return self._chain(
            self._atom,
            {
                "+": lambda a, b: self._number(a) + self._number(b),
                "-": lambda a, b: self._number(a) - self._number(b),
            },
        )

    def _chain(
        self,
        part: Callable[[], float | bool],
        operators: Mapping[str, Callable[[float | bool, float | bool], float | bool]],
    ) -> float | bool:
        value = part()
        while self.tokens[0][1] == "mark" and self.tokens[0][0] in operators:
            operator = operators[self.tokens.pop(0)[0]]
            value = operator(value, part())
        return value

    def _atom(self) -> float | bool:
        text, kind = self.tokens.pop(0)
        if kind == "number":
            return float(text)
        if kind == "region":
            region, _, condition = text.partition(";")
            return float(self.bits[condition, region])
        if text == "-":
            return -self._number(self._atom())
        if text not in _BRACKETS:
            raise self._error(f"'{text}' is not expected there" if text else "it ends too early")
        value = self._either()
        if self.tokens.pop(0)[0] != _BRACKETS[text]:
            raise self._error(f"a bracket '{text}' is not closed")
        return value

    def _number(self, value: float | bool) -> float:
        if isinstance(value, bool):
            raise self._error("it calculates with a comparison")
        return value

    def _bool(self, value: float | bool) -> bool:
        if not isinstance(value, bool):
            raise self._error("& and | stand between comparisons")
        return value

    def _error(self, problem: str) -> StimulusError:
        return StimulusError(f"the prediction '{self.formula}' cannot be read: {problem}")


def _tokens(formula: str) -> Iterator[tuple[str, str]]:
    at = 0
    while formula[at:].strip():
        found = _TOKEN.match(formula, at)
        if not found:
            raise StimulusError(
                f"the prediction '{formula}' cannot be read at '{formula[at:].strip()[:20]}'; regions are written (6;%condition%)"
            )
        region, condition, number, mark = found.groups()
        if region:
            yield f"{region};{condition}", "region"
        else:
            yield (number, "number") if number else (mark, "mark")
        at = found.end()
