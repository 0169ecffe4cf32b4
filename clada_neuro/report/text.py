"""How the report writes numbers: APA style on the page, with a true minus sign."""

import math
from typing import Any

import pandas as pd

_P_COLUMNS = ("p", "p_bh", "p_null", "p_lrt")


def number(value: float | None, digits: int = 2) -> str:
    """Return a number with fixed decimals, more for small ones, and ``NA`` for a missing one.

    ``-0.914`` becomes ``−0.91``, ``0.0042`` becomes ``0.0042``, ``-92070.784`` becomes ``−92,070.78``.
    """
    if value is None or pd.isna(value):
        return "NA"
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞"
    small = 0 < abs(value) < 10**-digits
    text = f"{value:.{digits}g}" if small else f"{value:,.{digits}f}"
    if not small and float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def share(value: float | None, digits: int = 3) -> str:
    """Return a quantity that cannot pass 1, such as R², without its leading zero (APA)."""
    if value is None or pd.isna(value):
        return "NA"
    if 0 < abs(value) < 0.5 * 10**-digits:
        digits = min(-math.floor(math.log10(abs(value))) + 1, 8)
    return f"{value:.{digits}f}".replace("-", "−").replace("0.", ".", 1) if abs(value) < 1 else number(value)


def p_value(p: float | None) -> str:
    """Return ``< .001``, ``.042`` or ``NA``."""
    if p is None or pd.isna(p):
        return "NA"
    return "< .001" if p < 0.001 else share(p)


def p_equals(p: float | None) -> str:
    """Return the p value as a sentence needs it: ``p < .001`` or ``p = .042``."""
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def cell(value: Any, column: str = "") -> str:
    """Return one table cell as text."""
    if isinstance(value, list | tuple):
        return ", ".join(cell(item) for item in value)
    if isinstance(value, dict):
        return "; ".join(f"{key}: {cell(item)}" for key, item in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or pd.isna(value):
        return "NA"
    if isinstance(value, str):
        return value
    if column in _P_COLUMNS:
        return p_value(float(value))
    if column.startswith("r2"):
        return share(float(value), 4)
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}".replace("-", "−")
    return number(float(value), 3)


def plural(count: int, noun: str) -> str:
    """Return ``1 trial``, ``25,322 trials`` or ``3 stimuli``."""
    if count == 1:
        return f"1 {noun}"
    if noun.endswith("us"):
        return f"{count:,} {noun[:-2]}i"
    return f"{count:,} {noun}s"
