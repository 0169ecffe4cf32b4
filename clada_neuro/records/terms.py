"""How the coefficients of a regression are called: products, levels of factors, squares."""

import re
from dataclasses import dataclass

_CONTRAST = re.compile(r"^(?P<factor>.+?)\[(?:(?P<kind>[A-Z])\.)?(?P<level>.*)\]$")
_CODED = re.compile(r"^C\(\s*`?(?P<name>[^,`)]+?)`?\s*[,)]")
# A colon between brackets belongs to a level.
_BETWEEN = re.compile(r":(?![^\[]*\])")
_SQUARE = re.compile(r"^(?:I\()?\s*(?P<name>\w+?)\s*(?:\*\*|\^|_squared|_sq$)\s*(?P<power>\d*)\s*\)?$")


@dataclass(frozen=True)
class Contrast:
    """One coefficient of a factor: ``condition[T.incorrect]``; `kind` is the letter, ``T`` for treatment."""

    factor: str
    kind: str
    level: str


def factors(term: str) -> list[str]:
    """Return the factors of a product: ``a:b[T.x]`` gives ``a`` and ``b[T.x]``."""
    return _BETWEEN.split(term)


def contrast(name: str) -> Contrast | None:
    """Return which level of which column a coefficient stands for; nothing for a numeric predictor."""
    found = _CONTRAST.match(name)
    if found is None:
        return None
    coded = _CODED.match(found["factor"])
    return Contrast(coded["name"] if coded else found["factor"], found["kind"] or "", found["level"])


def square(term: str) -> str | None:
    """Return the variable of a squared term such as ``I(x ** 2)``, ``x^2`` or ``x_sq``; otherwise nothing."""
    found = _SQUARE.match(term)
    return found["name"] if found and found["power"] in ("", "2") else None
