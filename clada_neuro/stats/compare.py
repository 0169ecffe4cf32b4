"""Likelihood-ratio tests of nested models on identical rows, and false-discovery control over families of tests."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from clada_neuro.errors import FitError
from clada_neuro.numerals import p_text
from clada_neuro.stats.design import Design
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.nesting import LOGLIK_TOLERANCE, settled

_SPAN_TOLERANCE = 1e-8


@dataclass(frozen=True)
class Comparison:
    """A likelihood-ratio test; both models fitted by maximum likelihood.

    ``delta_*`` are larger minus smaller model; ``delta_loglik_per_trial`` is in nats. ``p_bootstrap`` stands beside ``p``
    where a parametric bootstrap was asked for.
    """

    smaller: str
    larger: str
    n_obs: int
    chi2: float
    df: int
    p: float
    delta_loglik: float
    delta_loglik_per_trial: float
    delta_aic: float
    delta_r2_marginal: float
    warnings: tuple[str, ...] = ()
    p_bootstrap: float | None = None
    n_bootstrap: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as a dictionary."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.larger} against {self.smaller}: χ²({self.df}) = {self.chi2:.2f}, {p_text(self.p)}, "
            f"Δ log-likelihood per trial {self.delta_loglik_per_trial:.2e}, ΔR²m {self.delta_r2_marginal:.2e}"
            + self._bootstrapped()
            + "".join(f"; {line}" for line in self.warnings)
        )

    def _bootstrapped(self) -> str:
        if self.p_bootstrap is None:
            return ""
        return f", parametric bootstrap of {self.n_bootstrap}: {p_text(self.p_bootstrap)}"

    def _repr_html_(self) -> str:
        return "".join(f"<p>{escape(line)}</p>" for line in (str(self), *self.warnings))


def compare(one: Fitted, other: Fitted) -> Comparison:
    """Test a model against a nested one. REML fits are refitted by ML first.

    Raises
    ------
    FitError
        When the rows or responses differ, or neither model contains the other.
    """
    smaller, first, larger = nested(one, other)
    df = larger.n_parameters - smaller.n_parameters
    delta = larger.loglik - smaller.loglik
    warnings = [f"'{larger.name}': {line}" for line in larger.warnings if line not in first.warnings]
    if delta < -LOGLIK_TOLERANCE:
        warnings.append(f"the larger model fits worse by {-delta:.4f} log units: it is not at its optimum")
    if smaller.n_groups and _covariance_sizes(smaller) != _covariance_sizes(larger):
        warnings.append("variances are tested at their boundary, so this p value is too large")
    chi2 = float(max(2 * delta, 0.0))
    return Comparison(
        smaller.name,
        larger.name,
        smaller.n_obs,
        chi2,
        df,
        float(stats.chi2.sf(chi2, df)),
        float(delta),
        float(delta / smaller.n_obs),
        float(larger.aic - smaller.aic),
        float(larger.r2().marginal - smaller.r2().marginal),
        tuple(warnings),
    )


def nested(one: Fitted, other: Fitted) -> tuple[Fitted, Fitted, Fitted]:
    """Return the smaller model, the larger as it was fitted first, and as it is settled: by ML, on the same rows.

    Raises
    ------
    FitError
        When the rows, responses or families differ, or neither model contains the other.
    """
    if one.family != other.family:
        raise FitError(
            f"'{one.name}' is {one.family} and '{other.name}' {other.family}; compare models of one family only"
        )
    smaller, larger = sorted((one, other), key=lambda fit: fit.n_parameters)
    check_same_rows([smaller.design, larger.design])
    _check_nested(smaller, larger, larger.n_parameters - smaller.n_parameters)
    smaller, first = smaller.refit(reml=False), larger.refit(reml=False)
    return smaller, first, settled(smaller, first)


def check_same_rows(designs: Sequence[Design]) -> None:
    """Raise `FitError` unless all designs use the same rows and response."""
    first = designs[0]
    for design in designs[1:]:
        if not np.array_equal(design.rows, first.rows):
            raise FitError(
                f"the models use different rows ({len(first.rows)} and {len(design.rows)}); leave out rows with "
                "missing values in any model's columns before fitting"
            )
        if not np.array_equal(design.y, first.y):
            raise FitError("the models have different responses; compare models of one response only")


def adjust(tests: pd.DataFrame, family: str | Sequence[str] = ()) -> pd.DataFrame:
    """Return ``tests`` (one row a test, column ``p``) with ``p_bh`` and ``family_size`` added.

    ``family`` names the columns that tell families apart, such as ``component``; p values are adjusted within a
    family by Benjamini and Hochberg (1995). A missing p stays missing and does not count.
    """
    from statsmodels.stats.multitest import multipletests

    keys = [family] if isinstance(family, str) else list(family)
    result = tests.assign(p_bh=np.nan, family_size=0)
    groups = tests.groupby(keys, sort=False).indices.values() if keys else [np.arange(len(tests))]
    for rows in groups:
        known = rows[tests["p"].iloc[rows].notna().to_numpy()]
        if len(known):
            adjusted = multipletests(tests["p"].iloc[known], method="fdr_bh")[1]
            result.iloc[known, result.columns.get_loc("p_bh")] = adjusted
        result.iloc[rows, result.columns.get_loc("family_size")] = len(known)
    return result


def _check_nested(smaller: Fitted, larger: Fitted, df: int) -> None:
    names = f"'{smaller.formula}' and '{larger.formula}'"
    if smaller.design.smooths or larger.design.smooths:
        raise FitError(
            f"{names} have smooths, which a likelihood-ratio test does not fit; fit.smooths() tests them, or compare AIC"
        )
    if df == 0:
        raise FitError(
            f"{names} have equally many parameters, so neither contains the other; compare their AIC"
        )
    if not _spans(larger.design.X, smaller.design.X):
        raise FitError(f"the fixed part of {names} is not nested; a likelihood-ratio test does not apply")
    for block in smaller.design.blocks:
        inside = [
            b for b in larger.design.blocks if b.group == block.group and _spans(b.values, block.values)
        ]
        if not inside:
            raise FitError(
                f"the random part of {names} is not nested; a likelihood-ratio test does not apply"
            )


def _spans(columns: np.ndarray, inner: np.ndarray) -> bool:
    left = inner - columns @ np.linalg.lstsq(columns, inner)[0]
    return bool(np.linalg.norm(left) <= _SPAN_TOLERANCE * np.linalg.norm(inner))


def _covariance_sizes(fit: Fitted) -> list[tuple[str, int]]:
    return sorted((block.group, len(block.names)) for block in fit.design.blocks)
