"""Share a budget of weight bytes over layers and sites: equal marginal loss per byte.

With loss curves L_k(p) of each layer and site k, and W_k bytes there, the least Σ L_k(p_k) at Σ W_k·p_k = S·Σ W is where
every L_k′(p_k)/W_k equals one multiplier (Lagrange). Curves are made convex first, so that the multiplier finds it.
"""

import numpy as np
import torch
from torch import Tensor

_STEPS = 96
MOST = 0.95  # never drop a whole site


def allocate(
    losses: dict[str, Tensor],
    shares: tuple[float, ...],
    bytes_of: dict[str, Tensor],
    total: float,
    target: float,
) -> dict[str, Tensor]:
    """Return the share of rows to drop at each site, ``(layers,)``.

    Parameters
    ----------
    losses : dict of site to Tensor
        ``(layers, len(shares))``, loss when that share of rows is dropped.
    bytes_of : dict of site to Tensor
        Weight bytes of the site's rows, ``(layers,)``.
    total : float
        Weight bytes of all blocks, sites or not.
    target : float
        Wanted share of ``total`` not read.
    """
    sites = list(losses)
    fine = np.linspace(0, MOST, _STEPS)
    curves = np.stack(
        [_convex(fine, shares, row) for site in sites for row in losses[site].double().cpu().numpy()]
    )
    weight = np.concatenate([bytes_of[site].double().cpu().numpy() for site in sites])
    low, high = 1e-30, 1e30
    for _ in range(200):
        multiplier = np.sqrt(low * high)
        chosen = fine[np.argmin(curves - multiplier * weight[:, None] * fine, axis=1)]
        low, high = (multiplier, high) if (weight @ chosen) / total < target else (low, multiplier)
    chosen *= min(1.0, target * total / (weight @ chosen))
    parts = torch.tensor(chosen, dtype=torch.float32).split([len(losses[site]) for site in sites])
    return dict(zip(sites, parts, strict=True))


def _convex(fine: np.ndarray, shares: tuple[float, ...], loss: np.ndarray) -> np.ndarray:
    """Return the greatest convex, increasing curve under the measured points, on a fine grid."""
    x = np.array([0.0, *shares])
    y = np.maximum.accumulate(np.array([0.0, *loss]))
    hull = [0]
    for point in range(1, len(x)):
        while len(hull) > 1 and _slope(x, y, hull[-2], hull[-1]) >= _slope(x, y, hull[-1], point):
            hull.pop()
        hull.append(point)
    curve = np.interp(fine, x[hull], y[hull])
    beyond = fine > x[-1]
    last = _slope(x, y, hull[-2], hull[-1])
    curve[beyond] = y[-1] + 4 * last * (fine[beyond] - x[-1])
    # a little curvature inside each segment, so that the multiplier moves shares smoothly
    return curve + 1e-3 * max(y[-1], 1e-12) * fine**2


def _slope(x: np.ndarray, y: np.ndarray, first: int, second: int) -> float:
    return (y[second] - y[first]) / (x[second] - x[first])
