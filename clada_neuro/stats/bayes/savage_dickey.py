"""Bayes factors of a coefficient against zero: the prior's density at zero over the posterior's (Dickey, 1971).

The posterior's density is not read off a histogram of draws, which says nothing where few draws fall. In a linear model the
coefficients are jointly normal given the SDs, so the density at zero is averaged over the draws of the SDs alone (Gelfand &
Smith, 1990). For counts it is that of a normal distribution with the draws' mean and SD.
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse, stats
from scipy.special import logsumexp

from clada_neuro.stats.bayes.priors import Priors
from clada_neuro.stats.design import INTERCEPT
from clada_neuro.stats.fitted import Fitted

MOST_SOLVED = 500  # draws of the SDs for which the mixed-model equations are solved


@dataclass(frozen=True)
class BayesFactor:
    """Evidence for an effect: ``log_bf10`` is the natural logarithm, ``mcse`` its Monte Carlo error."""

    term: str
    log_bf10: float
    mcse: float

    @property
    def bf10(self) -> float:
        """Return the factor for the effect; infinite where a number cannot hold it."""
        with np.errstate(over="ignore"):
            return float(np.exp(self.log_bf10))


def linear(
    fit: Fitted,
    priors: Priors,
    term: str,
    spreads: dict[tuple[str, str], np.ndarray],
    residual: np.ndarray,
) -> BayesFactor:
    """Return the Bayes factor of a linear model's coefficient from draws (chains, draws) of its SDs."""
    equations = _Equations.of(fit, priors)
    step = max(1, -(-residual.size // MOST_SOLVED))
    kept = [values[:, ::step] for values in (*spreads.values(), residual)]
    draws = np.stack([one.ravel() for one in kept], axis=1)
    at = fit.design.names.index(term)
    log_density = np.array([equations.log_density_at_zero(at, row[:-1], row[-1]) for row in draws])
    log_prior = stats.norm.logpdf(0, 0, priors.coefficients[term])
    return _averaged(term, log_prior, log_density.reshape(kept[0].shape))


def normal(priors: Priors, term: str, draws: np.ndarray, effective: float) -> BayesFactor:
    """Return the Bayes factor from draws of a coefficient whose posterior is close to normal; ``effective`` counts them."""
    mean, sd = float(draws.mean()), float(draws.std(ddof=1))
    log_posterior = stats.norm.logpdf(0, mean, sd)
    by_mean, by_sd = -mean / sd**2, mean**2 / sd**3 - 1 / sd
    error = np.hypot(by_mean * sd / np.sqrt(effective), by_sd * sd / np.sqrt(2 * effective))
    return BayesFactor(
        term, float(stats.norm.logpdf(0, 0, priors.coefficients[term]) - log_posterior), float(error)
    )


def _averaged(term: str, log_prior: float, log_density: np.ndarray) -> BayesFactor:
    """Average densities (chains, draws); the error is that of the mean, from as many draws as the chains are worth."""
    largest = log_density.max()
    scaled = np.exp(log_density - largest)
    log_mean = float(logsumexp(log_density) - np.log(log_density.size))
    if np.ptp(scaled) == 0:
        return BayesFactor(term, log_prior - log_mean, 0.0)
    error = scaled.std(ddof=1) / np.sqrt(_effective(scaled))
    return BayesFactor(term, log_prior - log_mean, float(error / scaled.mean()))


def _effective(draws: np.ndarray) -> float:
    import arviz

    return float(arviz.ess(draws, method="mean"))


@dataclass(frozen=True, eq=False)
class _Equations:
    """The mixed-model equations with normal priors: cross products of all columns, fixed ones first.

    ``prior`` (p,) holds the precisions of the coefficients and ``shift`` what the priors' means add, ``random`` the
    positions in the SDs of each random effect's own.
    """

    cross: np.ndarray
    right: np.ndarray
    prior: np.ndarray
    shift: np.ndarray
    owners: np.ndarray

    @classmethod
    def of(cls, fit: Fitted, priors: Priors) -> "_Equations":
        design = fit.design
        columns, names = design.X.copy(), design.names
        others = [at for at, name in enumerate(names) if name != INTERCEPT]
        precision, shift = np.zeros(len(names)), np.zeros(len(names))
        precision[others] = [priors.coefficients[names[at]] ** -2 for at in others]
        if INTERCEPT in names:  # its prior is that of the mean at the means of all columns
            columns[:, others] -= columns[:, others].mean(axis=0)
            at = names.index(INTERCEPT)
            precision[at] = priors.center_sd**-2
            shift[at] = priors.center * precision[at]
        rows, parts, sizes = np.arange(len(columns)), [sparse.csr_matrix(columns)], []
        for block in design.blocks:
            for column in block.values.T:
                shape = (len(rows), len(block.levels))
                parts.append(sparse.csr_matrix((column, (rows, block.codes)), shape=shape))
                sizes.append(len(block.levels))
        every = sparse.hstack(parts, format="csr")
        owners = np.repeat(np.arange(len(sizes)), sizes)
        return cls((every.T @ every).toarray(), every.T @ design.y, precision, shift, owners)

    def log_density_at_zero(self, at: int, spreads: np.ndarray, residual: float) -> float:
        """Return the log density of one coefficient at zero given the SDs."""
        p = len(self.prior)
        precision = self.cross / residual**2
        diagonal = np.concatenate([self.prior, spreads[self.owners] ** -2.0])
        precision[np.diag_indices_from(precision)] += diagonal
        right = self.right / residual**2
        right[:p] += self.shift
        factor = linalg.cho_factor(precision, overwrite_a=True, check_finite=False)
        unit = np.zeros(len(right))
        unit[at] = 1.0
        column = linalg.cho_solve(factor, unit, check_finite=False)
        return float(stats.norm.logpdf(0, column @ right, np.sqrt(column[at])))
