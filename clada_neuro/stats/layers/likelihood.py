"""The likelihood of a design with one of many further columns, profiled over coefficients and residual variance.

With V = Z L L' Z' + I for relative factors L(theta), G = W' V^-1 W over W = [Q, x~, y~] and log |V| decide everything (Bates,
Maechler, Bolker & Walker, 2015, Journal of Statistical Software, 67(1)). One factorization at a theta serves all columns, and
the block with a diagonal product is eliminated before it. Deviances are -2 log likelihoods (restricted with ``reml``).
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from clada_neuro.errors import FitError
from clada_neuro.stats.layers.optimum import GAIN, OFF_ZERO, Optimum, minimum, quadratic, step_from
from clada_neuro.stats.layers.products import Products

_TWO_PI = 2 * np.pi


@dataclass(frozen=True, eq=False)
class Profile:
    """What is left of columns and response at a theta beside the fixed part: coefficients and deviances, each (J,).

    ``base`` is the deviance without a further column.
    """

    b: np.ndarray
    xx: np.ndarray
    rss: np.ndarray
    deviance: np.ndarray
    base: float

    def t(self, df: int) -> np.ndarray:
        """Return b over its standard error, (J,)."""
        return self.b / np.sqrt(self.rss / df / self.xx)


@dataclass(frozen=True, eq=False)
class Fit:
    """One model at its optimum, in the data's units: ``coefficients`` are of the scaled fixed part's columns Q.

    ``b`` and ``se`` are of the further column, 0 and missing without one; ``hessian`` is the deviance's in theta.
    """

    theta: np.ndarray
    sigma: float
    loglik: float
    coefficients: np.ndarray
    b: float
    se: float
    converged: bool
    hessian: np.ndarray


def factors(theta: np.ndarray, made: Products) -> list[np.ndarray]:
    """Return each block's relative covariance factor, lower triangular."""
    found, at = [], 0
    for _, k in made.sizes:
        part = theta[at : at + k * (k + 1) // 2]
        at += len(part)
        factor = part.reshape(1, 1) if k == 1 else np.zeros((k, k))
        if k > 1:
            factor[np.tril_indices(k)] = part
        found.append(factor)
    return found


def start_from(ratios: list[np.ndarray], made: Products) -> np.ndarray:
    """Return theta of relative covariances, one a block of the design, lifted off zero."""
    parts = []
    for b in made.order:
        values, vectors = np.linalg.eigh(ratios[b])
        (upper,) = linalg.qr((vectors * np.sqrt(np.maximum(values, OFF_ZERO**2))).T, mode="r")
        root = upper.T * np.where(np.diag(upper) < 0, -1.0, 1.0)
        parts.append(root[np.tril_indices(len(root))])
    return np.concatenate(parts)


@dataclass(frozen=True, eq=False)
class _Factored:
    """V at a theta: the first block's relative variance, the other blocks' factors, the Cholesky factor of what is left, log |V|."""

    size: float
    others: list[tuple[tuple[int, int], np.ndarray]]
    root: np.ndarray
    logdet: float


def _factored(theta: np.ndarray, made: Products) -> _Factored:
    blocks = factors(theta, made)
    split = bool(made.first)
    size = float(blocks[0][0, 0] ** 2) if split else 0.0
    inner = made.sizes_seen.once(size, lambda: made.others - made.block.off_others(size))
    others = list(zip(made.sizes, blocks, strict=True))[split:]
    inner = _times(_times(inner, others).T, others)
    inner[np.diag_indices_from(inner)] += 1
    root = linalg.cholesky(inner, lower=True, overwrite_a=True, check_finite=False) if len(inner) else inner
    logdet = made.block.logdet(size) + float(2 * np.log(np.diag(root)).sum())
    return _Factored(size, others, root, logdet)


def reduced(theta: np.ndarray, made: Products, columns: np.ndarray) -> tuple[np.ndarray, float]:
    """Return G over [Q, the chosen columns, y~] and log |V|."""
    split, response = made.first, made.response
    at = np.concatenate([np.arange(made.p), made.p + columns])
    here = made.thetas_seen.once(theta.tobytes(), lambda: _factored(theta, made))
    across, own = made.block.off_columns(here.size, at, made.of_response)
    right = _times(np.column_stack([made.zu[split:, at], response.z[split:]]) - across, here.others)
    solved = (
        linalg.solve_triangular(here.root, right, lower=True, check_finite=False) if len(right) else right
    )
    gram = np.empty((len(at) + 1, len(at) + 1))
    gram[:-1, :-1] = made.uu[np.ix_(at, at)]
    gram[-1, :-1] = gram[:-1, -1] = response.u[at]
    gram[-1, -1] = response.y
    gram -= own + solved.T @ solved
    return gram, here.logdet


def _times(values: np.ndarray, blocks: list[tuple[tuple[int, int], np.ndarray]]) -> np.ndarray:
    """Return L' values, block by block."""
    parts, at = [], 0
    for (levels, k), factor in blocks:
        part = values[at : at + levels * k]
        at += levels * k
        if k == 1:
            parts.append(factor[0, 0] * part)
        else:
            parts.append(np.einsum("kt,lkm->ltm", factor, part.reshape(levels, k, -1)).reshape(part.shape))
    return np.concatenate(parts) if parts else values


def profile(theta: np.ndarray, made: Products, columns: np.ndarray, reml: bool) -> Profile:
    """Return what each of some columns gives at a theta, scaled."""
    gram, logdet = reduced(theta, made, columns)
    p, n = made.p, made.n
    root = linalg.cholesky(gram[:p, :p], lower=True, check_finite=False)
    beside = linalg.solve_triangular(root, gram[:p, p:], lower=True, check_finite=False)
    xx = np.diag(gram)[p:-1] - (beside[:, :-1] ** 2).sum(axis=0)
    xy = gram[p:-1, -1] - beside[:, :-1].T @ beside[:, -1]
    yy = float(gram[-1, -1] - beside[:, -1] @ beside[:, -1])
    rss = yy - xy**2 / xx
    fixed = 2 * np.log(np.diag(root)).sum() if reml else 0.0
    df, base_df = (n - p - 1, n - p) if reml else (n, n)
    deviance = logdet + fixed + df * (np.log(_TWO_PI * rss / df) + 1) + (np.log(xx) if reml else 0.0)
    base = logdet + fixed + base_df * (np.log(_TWO_PI * yy / base_df) + 1)
    return Profile(xy / xx, xx, rss, deviance, float(base))


def fit(
    made: Products,
    column: int | None,
    start: np.ndarray,
    reml: bool,
    hessian: np.ndarray | None = None,
    gain: float = GAIN,
) -> Fit:
    """Fit the baseline (``column`` None) or the model with one further column, from a theta near its optimum.

    ``hessian`` is that of a like fit there, if one is known; ``gain`` is what a step of the deviance may promise and be the last.

    Raises
    ------
    FitError
        Where V cannot be factored on the way.
    """
    columns = _chosen(column)

    def deviance(theta: np.ndarray) -> float:
        found = profile(theta, made, columns, reml)
        return found.base if column is None else float(found.deviance[0])

    try:
        with np.errstate(invalid="ignore"):
            return _unscaled(minimum(deviance, start, hessian, gain), made, column, reml)
    except (np.linalg.LinAlgError, ValueError) as error:
        raise FitError(f"a covariance matrix cannot be factored ({error})") from error


def fit_each(
    made: Products, columns: np.ndarray, near: np.ndarray, reml: bool, gain: float = GAIN
) -> list[Fit]:
    """Fit the models with one of some columns each, from the baseline's optimum: one expansion there starts all of them.

    Raises
    ------
    FitError
        See `fit`.
    """
    _, slopes, hessians = quadratic(lambda theta: profile(theta, made, columns, reml).deviance, near)
    found = []
    for column, slope, hessian in zip(columns, slopes, hessians, strict=True):
        step = step_from(slope, hessian)
        at, curved = (near, None) if step is None else (near + step, hessian)
        found.append(fit(made, int(column), at, reml, curved, gain))
    return found


def _chosen(column: int | None) -> np.ndarray:
    return np.array([] if column is None else [column], dtype=int)


def _unscaled(found: Optimum, made: Products, column: int | None, reml: bool) -> Fit:
    columns = _chosen(column)
    gram, _ = reduced(found.at, made, columns)
    scales, n, p = made.scales, made.n, made.p + len(columns)
    gamma = linalg.solve(gram[:-1, :-1], gram[:-1, -1], assume_a="pos")
    rss = float(gram[-1, -1] - gram[:-1, -1] @ gamma)
    sigma = scales.s * np.sqrt(rss / ((n - p) if reml else n))
    coefficients = scales.s * gamma[: made.p] + scales.g
    loglik = -found.value / 2 + scales.half_log_weights - (n - p * reml) * np.log(scales.s)
    if reml:
        loglik -= np.log(np.diag(scales.r)).sum()
    b, se = 0.0, float("nan")
    if column is not None:
        sx = scales.sx[column]
        b = float(scales.s * gamma[-1] / sx)
        se = float(sigma * np.sqrt(np.linalg.inv(gram[:-1, :-1])[-1, -1]) / sx)
        coefficients = coefficients - scales.a[:, column] * b
        if reml:
            loglik -= float(np.log(sx))
    return Fit(found.at, float(sigma), float(loglik), coefficients, b, se, found.converged, found.hessian)
