"""Contrasts asked for by column: one grammar in Python, on the command line, in analysis files and in formulas.

A contrast is what may stand in a formula as the second argument of ``C(column, …)``: ``treatment``, ``treatment(low)`` with
a reference level, ``sum``, ``helmert``, ``successive`` (differences), ``polynomial``, the names of R (``contr.sdif``) and of
patsy (``Diff``), or codes, ``c(-0.5, 0.5)`` and ``cbind(c(…), c(…))`` in the order of the levels. Outside formulas codes may
be given by level: ``{low: -0.5, high: 0.5}``.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from clada_neuro.errors import FitError
from clada_neuro.stats.notation import OFFERED, from_r

Contrasts = Mapping[str, Any]
_OFFERED = f"{OFFERED}, or codes by level such as c(-0.5, 0.5)"
_BASED = re.compile(r"^(?:contr\.)?[Tt]reatment\(\s*(?P<level>[^\"'=,]*[^\"'=,\s\d][^\"'=,]*)\s*\)$")


def canonical(contrasts: Contrasts | None) -> dict[str, str]:
    """Return what is put after the column in ``C(column, …)``, by column; what it returns comes back unchanged.

    Raises
    ------
    FitError
        For a contrast that is not offered, with the column.
    """
    return {name: _canonical(name, given) for name, given in (contrasts or {}).items()}


def _canonical(name: str, given: Any) -> str:
    if isinstance(given, Mapping):
        return _by_level(name, given)
    if isinstance(given, bool | int | float):
        raise FitError(f"contrasts {given!r} of '{name}' are not offered; give {_OFFERED}")
    if not isinstance(given, str):
        return str(_columns(name, given))
    text = given.strip()
    if based := _BASED.match(text):
        text = f"treatment(base = {based['level'].strip()!r})"
    try:
        inside = re.fullmatch(r"C\(x, (.+)\)", from_r(f"C(x, {text})", called=True))
    except FitError as error:
        raise FitError(f"contrasts of '{name}': {error}") from None
    if inside is None or not inside[1].startswith(("contr.", "[")):
        raise FitError(f"contrasts '{given}' of '{name}' are not offered; give {_OFFERED}")
    return inside[1]


def _by_level(name: str, given: Mapping[Any, Any]) -> str:
    rows = [value if isinstance(value, list | tuple | np.ndarray) else [value] for value in given.values()]
    return f"{_columns(name, rows)}, levels={[str(level) for level in given]}"


def _columns(name: str, rows: Any) -> list[list[float]]:
    """Return codes, one row a level, as columns."""
    try:
        codes = np.asarray(rows, dtype=float)
    except (TypeError, ValueError):
        raise FitError(f"codes {rows!r} of '{name}' given, as many numbers for each level expected") from None
    if codes.ndim > 2 or not codes.size or not np.isfinite(codes).all():
        raise FitError(f"codes of '{name}': one row a level expected, {rows!r} given")
    return [[float(code) for code in column] for column in (codes if codes.ndim == 2 else codes[:, None]).T]
