"""How numbers are printed: an estimate with as many decimals as it has, its interval with as many, p in APA style.

What needs more decimals than a reader counts stands before a power of ten: ``0.73 × 10⁻³``, ``2.40 × 10⁻⁷``.
"""

import math

_LEAST, _MOST = 2, 12
_PLAIN = 4  # decimals that are written out, whatever the number
_SIZABLE = 0.01  # what is as large is written out, whatever its decimals
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def decimals(se: float | None) -> int:
    """Return the decimals of an estimate: at least two, and so many that the last is at most a fifth of its SE.

    ``0.2`` and ``0.09`` give 2, ``0.0126`` gives 3, ``0.0009`` gives 4.
    """
    if se is None or not math.isfinite(se) or se <= 0:
        return _LEAST
    return min(max(_LEAST, math.ceil(math.log10(5 / se))), _MOST)


def spread(low: float | None, high: float | None) -> float | None:
    """Return a quarter of an interval's width: near the standard error of what a 95 % interval belongs to."""
    return None if low is None or high is None else (high - low) / 4


def fixed(value: float | None, digits: int) -> str:
    """Return a number with exactly so many decimals, a true minus sign and no negative zero; ``NA`` if missing."""
    power = _power(digits, value)
    return _written(value, digits, power) + (ten_to(-power) if power else "")


def interval(low: float | None, high: float | None, digits: int) -> str:
    """Return ``[−1.07, −0.71]``, both ends with the same decimals and before one power of ten: ``[0.01, 3.19] × 10⁻³``."""
    power = _power(digits, low, high)
    ends = ", ".join(_written(end, digits, power) for end in (low, high))
    return f"[{ends}]" + (ten_to(-power) if power else "")


def ten_to(power: int) -> str:
    """Return `` × 10⁻⁷``, at which no line breaks."""
    return f"\u00a0×\u00a010{str(power).translate(_SUPERSCRIPT)}"


def _written(value: float | None, digits: int, power: int) -> str:
    """Return a number without the power of ten that it stands before."""
    if value is None or math.isnan(value):
        return "NA"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value * 10.0**power:,.{digits - power}f}"
    return (text if float(text.replace(",", "")) else text.lstrip("-")).replace("-", "−")


def _power(digits: int, *values: float | None) -> int:
    """Return the power of ten that leaves numbers two decimals; 0 where they are written out, or are too large for it."""
    power = digits - _LEAST if digits > _PLAIN else 0
    largest = max(
        (abs(value) for value in values if value is not None and not math.isnan(value)), default=0.0
    )
    return power if 0 < largest < min(_SIZABLE, 10.0 ** (4 - power)) else 0


def p_text(p: float) -> str:
    """Return a p value in APA style."""
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".", 1)
