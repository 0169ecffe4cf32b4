"""How the report writes numbers: APA style on the page, with a true minus sign."""

import math
import re
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.numerals import decimals, fixed, interval, spread, ten_to
from clada_neuro.records.fits import Coefficient, MarginalRow
from clada_neuro.responses.response import Response

NBSP = "\u00a0"
_P_COLUMNS = ("p", "p_bh", "p_line")
_DECIMALS = 5  # at most: what is smaller is told as smaller, or before a power of ten
_TINY, _TINY_TEXT = 10**-_DECIMALS, "10⁻⁵"
_SMALL = 1e-3


def number(value: float | None, digits: int = 2) -> str:
    """Return a number with fixed decimals, more for small ones, and ``NA`` for a missing one.

    ``-0.914`` becomes ``−0.91``, ``0.0042`` becomes ``0.0042``, ``2.4e-7`` becomes ``2.4 × 10⁻⁷``, ``-92070.784`` becomes
    ``−92,070.78``.
    """
    if value is None or pd.isna(value):
        return "NA"
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞"
    if 0 < abs(value) < _SMALL:
        mantissa, _, power = f"{value:.1e}".partition("e")
        return mantissa.replace("-", "−") + ten_to(int(power))
    small = 0 < abs(value) < 10**-digits
    text = f"{value:.{digits}g}" if small else f"{value:,.{digits}f}"
    return text.replace("-", "−")


def share(value: float | None, digits: int = 3) -> str:
    """Return a quantity that cannot pass 1, such as R², without its leading zero (APA): ``.021``, ``0.73 × 10⁻³``, ``< 10⁻⁵``."""
    if value is None or pd.isna(value):
        return "NA"
    if 0 < abs(value) < _TINY:
        return f"< {_TINY_TEXT}"
    return _bare(fixed(value, _share_digits(value, digits))) if abs(value) < 1 else number(value)


def shares(low: float | None, high: float | None, digits: int = 3) -> str:
    """Return an interval of such quantities, both ends with the decimals of its width: ``[.017, .052]``, ``[0.01, 3.19] × 10⁻³``."""
    if low is not None and high is not None and 0 < max(abs(low), abs(high)) < _TINY:
        return f"[{share(low)}, {share(high)}]"
    return _bare(interval(low, high, max(digits, min(decimals(spread(low, high)), _DECIMALS))))


def _share_digits(value: float, digits: int) -> int:
    """Return more decimals for a value that so few would turn into zero."""
    return digits if not 0 < abs(value) < 0.5 * 10**-digits else -math.floor(math.log10(abs(value))) + 1


def _bare(text: str) -> str:
    """Drop the zero before the point, but for what stands before a power of ten, which can pass 1."""
    return text if "×" in text else re.sub(r"\b0\.", ".", text)


def p_value(p: float | None) -> str:
    """Return ``< .001``, ``.042`` or ``NA``."""
    if p is None or pd.isna(p):
        return "NA"
    return f"<{NBSP}.001" if p < 0.001 else share(p)


def cell(value: Any) -> str:
    """Return one value of any kind as text."""
    if isinstance(value, list | tuple):
        return ", ".join(cell(item) for item in value)
    if isinstance(value, dict):
        return "; ".join(f"{key}: {cell(item)}" for key, item in value.items())
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if value is None or pd.isna(value):
        return "NA"
    if isinstance(value, str):
        return value
    whole = float(value).is_integer()
    return f"{int(value):,}".replace("-", "−") if whole else number(float(value), 3)


def column(values: pd.Series) -> list[str]:
    """Return a table's column as text: p values and R² as APA writes them, other decimals alike in every row."""
    name = str(values.name)
    if name in _P_COLUMNS:
        return [p_value(value) for value in values]
    if name.startswith("r2"):
        return [share(value, 4) for value in values]
    decimal = pd.api.types.is_float_dtype(values) and not (values.dropna() % 1 == 0).all()
    return [number(value, 3) if decimal else cell(value) for value in values]


def stat(symbol: str, value: str) -> str:
    """Return ``b = −0.91`` with spaces at which no line breaks; a value that begins with ``<`` takes no ``=``."""
    return (
        f"{symbol} {value}".replace(" ", NBSP) if value.startswith("<") else f"{symbol}{NBSP}={NBSP}{value}"
    )


def capitalized(text: str) -> str:
    """Return a text with a capital first letter, the others as they are."""
    return f"{text[:1].upper()}{text[1:]}"


def plural(count: int, noun: str) -> str:
    """Return ``1 trial``, ``25,322 trials`` or ``3 stimuli``."""
    if count == 1:
        return f"1 {noun}"
    if noun.endswith("us"):
        return f"{count:,} {noun[:-2]}i"
    return f"{count:,} {noun}s"


def statistics(values: Coefficient | MarginalRow, measured: Response, symbol: str = "b") -> str:
    """Return ``b = −0.89 µV, SE = 0.09, 95% CI [−1.07, −0.71], t(82.8) = −9.84, p < .001``."""
    df, digits = values.df, decimals(values.se)
    t = "z" if df is None else f"t({number(df, 1)})"
    return (
        f"{stat(symbol, measured.quantity(values.estimate, values.se))}, {stat('SE', fixed(values.se, digits))}, "
        f"95% CI {interval(values.ci_low, values.ci_high, digits)}, "
        f"{stat(t, number(values.t))}, {stat('p', p_value(values.p))}"
    )
