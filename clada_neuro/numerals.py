"""How numbers are printed: an estimate with as many decimals as it has, its interval with as many, p in APA style."""

import math

_LEAST, _MOST = 2, 8


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
    if value is None or math.isnan(value):
        return "NA"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:,.{digits}f}"
    return (text if float(text.replace(",", "")) else text.lstrip("-")).replace("-", "−")


def interval(low: float | None, high: float | None, digits: int) -> str:
    """Return ``[−1.07, −0.71]``, both ends with the same decimals."""
    return f"[{fixed(low, digits)}, {fixed(high, digits)}]"


def p_text(p: float) -> str:
    """Return a p value in APA style."""
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".", 1)
