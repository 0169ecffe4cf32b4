"""When each layer's effect begins and peaks, with bootstrap intervals over subjects and items, and whether later layers are later.

The peak is the largest absolute coefficient; the onset is when the coefficient last reached half of its peak on the way there,
between two moments by a straight line (fractional peak latency: Kiesel, Miller, Jolicoeur & Brisson 2008, Psychophysiology 45).
A latency of an effect that is not there means nothing: layers in which none was found take no part in the rank correlation.

Samples are of subjects and, apart from them, of items (the pigeonhole bootstrap: Owen 2007, Annals of Applied Statistics 1): what a
word's own map adds to a layer's course is the same for all subjects and shifts its latencies, so that samples of subjects alone find
an order of layers where there is none. Noise of single trials counts in both, which makes intervals a little wide.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
FRACTION, FEWEST_LAYERS, CONFIDENCE = 0.5, 5, 0.95
KINDS = ("onset", "peak")


@dataclass(frozen=True, eq=False)
class Latencies:
    """Latencies by layer, and their rank correlation with the layers.

    Attributes
    ----------
    table
        A row a layer: ``onset_s``, ``peak_s``, each with ``_low`` and ``_high`` (95 %), ``peak_uv``, and ``found``, whether the
        layer has an effect.
    correlations
        A row a kind of latency: Spearman's ``rho`` over the ``n_layers`` layers with an effect, ``rho_low``, ``rho_high``, ``p``,
        two-sided; empty with fewer than five.
    """

    table: pd.DataFrame
    correlations: pd.DataFrame


def latencies(
    layers: tuple[int, ...],
    times: Array,
    betas: Array,
    influence: Array,
    found: NDArray[np.bool_],
    *,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> Latencies:
    """Measure each layer's latencies in the mean over subjects, and again in samples of subjects and items.

    Parameters
    ----------
    layers, times
        Numbers of the layers, and moments in seconds.
    betas
        Coefficients of each subject, (n_subjects, n_layers, n_times).
    influence
        By how much each item, drawn once more, moves the mean coefficients, (n_items, n_layers, n_times).
    found
        Whether a layer has an effect, (n_layers,).
    n_bootstrap, seed
        Samples of subjects and of items with replacement, and what makes them repeatable.

    Notes
    -----
    Intervals are percentiles of the samples. The rank correlation's p is twice the smaller share of samples whose correlation is
    at most, or at least, zero.
    """
    mean = betas.mean(axis=0)
    sign = np.sign(mean[np.arange(len(mean)), np.abs(mean).argmax(axis=1)])[:, None]
    # In samples a layer's peak is one of the same direction.
    observed = dict(zip(KINDS, onset_and_peak(times, sign * mean), strict=True))
    rng = np.random.default_rng([seed, len(betas)])
    subjects, items = (
        rng.multinomial(n, np.full(n, 1 / n), n_bootstrap) for n in (len(betas), len(influence))
    )
    drawn = np.tensordot(subjects / len(betas), betas, axes=1) + np.tensordot(items - 1, influence, axes=1)
    samples = dict(zip(KINDS, onset_and_peak(times, sign * drawn), strict=True))
    tail = (1 - CONFIDENCE) / 2
    table = pd.DataFrame({"layer": layers})
    for kind in KINDS:
        low, high = np.quantile(samples[kind], [tail, 1 - tail], axis=0)
        table = table.assign(**{f"{kind}_s": observed[kind], f"{kind}_s_low": low, f"{kind}_s_high": high})
    table = table.assign(peak_uv=(sign * (sign * mean).max(axis=1, keepdims=True)).ravel(), found=found)
    rows = [
        _correlated(kind, np.array(layers)[found], observed[kind][found], samples[kind][:, found], tail)
        for kind in KINDS
        if found.sum() >= FEWEST_LAYERS
    ]
    return Latencies(
        table, pd.DataFrame(rows, columns=["latency", "n_layers", "rho", "rho_low", "rho_high", "p"])
    )


def onset_and_peak(times: Array, courses: Array) -> tuple[Array, Array]:
    """Return onsets and peaks, seconds, (…,), of courses whose peak is positive, (…, n_times)."""
    at = courses.argmax(axis=-1)
    height = np.take_along_axis(courses, at[..., None], -1)
    before = np.arange(len(times)) < at[..., None]
    below = before & (courses < FRACTION * height)
    # The last moment before the peak that is below; without one the effect is there from the start.
    last = len(times) - 1 - below[..., ::-1].argmax(axis=-1)
    begins = below.any(axis=-1)
    last = np.where(begins, last, 0)
    following = np.minimum(last + 1, len(times) - 1)
    low, high = (np.take_along_axis(courses, place[..., None], -1)[..., 0] for place in (last, following))
    step = np.where(high > low, high - low, 1.0)
    share = np.where(begins, (FRACTION * height[..., 0] - low) / step, 0.0)
    return times[last] + share * (times[following] - times[last]), times[at]


def _correlated(
    kind: str, layers: NDArray[np.int_], observed: Array, samples: Array, tail: float
) -> tuple[str, int, float, float, float, float]:
    rho = _rank_correlation(layers, observed[None])[0]
    drawn = _rank_correlation(layers, samples)
    low, high = np.quantile(drawn, [tail, 1 - tail])
    smaller = min((drawn <= 0).sum(), (drawn >= 0).sum())
    return kind, len(layers), rho, low, high, min(1.0, 2 * (1 + smaller) / (1 + len(drawn)))


def _rank_correlation(layers: NDArray[np.int_], latency: Array) -> Array:
    """Return Spearman's rho of layers with each row of latencies, (n_rows,); 0 where all are the same."""
    ranks = stats.rankdata(latency, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    order = stats.rankdata(layers)
    order -= order.mean()
    norm = np.sqrt((ranks**2).sum(axis=1) * (order**2).sum())
    return np.divide(ranks @ order, norm, out=np.zeros(len(ranks)), where=norm > 0)
