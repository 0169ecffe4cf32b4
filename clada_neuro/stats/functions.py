"""The functions that a formula may call, with the arguments they take; R's meaning wherever R has the function."""

from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.errors import FitError
from clada_neuro.stats.factors import C, contr
from clada_neuro.stats.splines import ns


def log(x: Any, base: float | None = None) -> Any:
    """Return the natural logarithm, or that to a base."""
    return np.log(x) if base is None else np.log(x) / np.log(base)


def numeric(x: Any) -> Any:
    """Return the numbers that a column holds, as text too: a condition coded 1, 2, 3 as a slope."""
    try:
        return pd.to_numeric(pd.Series(x).astype(object)).astype(float)
    except ValueError:
        raise FitError("as.numeric() of text that is not numbers; make a column of numbers first") from None


CONTEXT = {
    "C": C, "abs": np.abs, "contr": contr, "expm1": np.expm1, "log": log, "log1p": np.log1p, "ns": ns,
    "numeric": numeric, "sign": np.sign, "sqrt": np.sqrt,
}  # fmt: skip
# Names of the arguments after the first, by function; formulaic brings what CONTEXT lacks.
ARGUMENTS = {
    "C": ("contrasts", "levels"), "I": (), "abs": (), "bs": ("df", "knots", "degree"), "center": (),
    "cr": ("df", "knots", "constraints"), "cs": ("df", "knots", "constraints"), "exp": (), "expm1": (),
    "log": ("base",), "log10": (), "log1p": (), "log2": (), "ns": ("df", "knots", "Boundary_knots"), "numeric": (),
    "offset": (), "poly": ("degree", "raw"), "scale": ("center", "scale"), "sign": (), "sqrt": (), "standardize": (),
}  # fmt: skip
NUMPY = {"abs", "exp", "expm1", "log", "log10", "log1p", "log2", "sign", "sqrt"}
OFFERED = ", ".join(sorted({*ARGUMENTS, "as.numeric", "factor", "ordered", "relevel"} - {"numeric"}))
INSTEAD = {
    "cc": "bs(x, df = 5) or ns(x, df = 3)",
    "cut": "a column with the categories",
    "exp10": "I(10^x)",
    "exp2": "I(2^x)",
    "ifelse": "I((x > 0) * y), or a column made before",
    "interaction": "a:b",
    "lag": "a column with the earlier value, made within each sentence",
    "mean": "scale(x, scale = FALSE)",
    "s": "a smooth as a term of its own, … + s(x) + …",
    "t2": "te(a, b) as a term of its own",
    "te": "a smooth as a term of its own, … + te(a, b) + …",
    "ti": "te(a, b) as a term of its own",
}
