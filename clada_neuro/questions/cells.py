"""How the questions' tables print what the report's do not: estimates with their intervals in one cell, and steps in words."""

from collections.abc import Iterable

import pandas as pd

from clada_neuro.numerals import decimals, fixed, interval, spread
from clada_neuro.reporting.labels import words
from clada_neuro.reporting.text import share, shares


def estimate(value: float, low: float, high: float, digits: int | None = None) -> str:
    """Return ``2.07 [−0.35, 4.49]``, with the decimals that the interval's width allows; without limits the value alone."""
    digits = decimals(spread(low, high)) if digits is None else digits
    return fixed(value, digits) if pd.isna(low) else f"{fixed(value, digits)} {interval(low, high, digits)}"


def estimates(rows: pd.DataFrame, names: tuple[str, str, str], scale: float = 1.0) -> list[str]:
    """Return a column of such cells from the columns of the value and its limits."""
    return [estimate(*(scale * value for value in row)) for row in rows[list(names)].itertuples(index=False)]


def part(value: float, low: float, high: float) -> str:
    """Return a part of R² with its interval, all with the same decimals: ``.0502 [.0455, .0541]``."""
    if pd.isna(low):
        return share(value)
    digits = max(3, min(decimals(spread(low, high)), 5))
    return f"{share(value, digits)} {shares(low, high, digits)}"


def parts(rows: pd.DataFrame, names: tuple[str, str, str]) -> list[str]:
    """Return a column of such cells."""
    return [part(*row) for row in rows[list(names)].itertuples(index=False)]


def step_words(name: str) -> str:
    """Return a step in words: ``surprisal x sparsity_energy99`` is ``surprisal × activation sparsity``."""
    return " ".join("×" if piece == "x" else words(piece) for piece in name.split(" "))


def listed(names: Iterable[str]) -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``; ``none`` without any."""
    *first, last = list(names) or ["none"]
    return f"{', '.join(first)} and {last}" if first else last


def question_words(name: str) -> str:
    """Return a question's name in words: ``devarda2023_p600_over_n400`` is ``devarda2023 P600 over N400``."""
    return " ".join(part.upper() if part in ("n400", "p600") else part for part in name.split("_"))
