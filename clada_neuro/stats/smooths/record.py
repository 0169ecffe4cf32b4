"""Smooths of a fit as fits.json holds them: what a report draws and a script writes, without the fit."""

from typing import Any

from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.smooths.curve import curve
from clada_neuro.stats.smooths.table import smooth_table


def smooth_records(fit: Fitted) -> list[dict[str, Any]]:
    """Return one entry a smooth.

    Returns
    -------
    list of dict
        ``smooth`` (its label), ``term`` (as mgcv reads it), ``kind``, ``variables``, ``k``, ``basis``, ``by`` and ``level`` (empty without),
        the tests of `table.smooth_table`, ``curve`` (columns of `curve.curve` as lists).
    """
    if not fit.design.smooths:
        return []
    tests = smooth_table(fit).to_dict("records")
    return [
        {
            "smooth": smooth.label,
            "term": str(smooth.shape.term),
            "kind": smooth.shape.term.kind,
            "variables": list(smooth.shape.term.variables),
            "k": list(smooth.shape.term.k),
            "basis": smooth.shape.term.basis,
            "by": smooth.shape.term.by,
            "level": smooth.level,
            **{name: value for name, value in test.items() if name != "smooth"},
            "curve": curve(fit, smooth.label).to_dict("list"),
        }
        for smooth, test in zip(fit.design.smooths, tests, strict=True)
    ]
