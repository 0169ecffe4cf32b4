"""Share a budget of weight bytes over layers and sites: by equal marginal loss per byte, or by equal error.

With loss curves L_k(p) of each layer and site k, and W_k bytes there, the least Σ L_k(p_k) at Σ W_k·p_k = S·Σ W is where
every L_k′(p_k)/W_k equals one multiplier (Lagrange).
"""

import numpy as np
import torch
from torch import Tensor

_STEPS = 951
_LEAST = 1e-12
_EXPONENT = 4.0  # outside the measured shares
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
        [_power_curve(fine, shares, row) for site in sites for row in losses[site].cpu().double().numpy()]
    )
    weight = np.concatenate([bytes_of[site].cpu().double().numpy() for site in sites])
    low, high = 1e-30, 1e30
    for _ in range(200):
        multiplier = np.sqrt(low * high)
        chosen = fine[np.argmin(curves - multiplier * weight[:, None] * fine, axis=1)]
        low, high = (multiplier, high) if (weight @ chosen) / total < target else (low, multiplier)
    chosen *= min(1.0, target * total / (weight @ chosen))
    parts = torch.tensor(chosen, dtype=torch.float32).split([len(losses[site]) for site in sites])
    return dict(zip(sites, parts, strict=True))


def equal_error(
    errors: dict[str, Tensor],
    shares: tuple[float, ...],
    bytes_of: dict[str, Tensor],
    total: float,
    target: float,
) -> dict[str, Tensor]:
    """Return the shares of rows ``(layers,)`` that give every layer and site the same relative error.

    The reading of the method's "error-controlled" thresholds in which one error holds for all; parameters as in
    `allocate`, with ``errors (layers, len(shares))`` in place of losses.
    """
    points = np.array([0.0, *shares, MOST])
    rows = np.concatenate([errors[site].cpu().double().numpy() for site in errors])
    curves = np.maximum.accumulate(np.column_stack([np.zeros(len(rows)), rows, rows[:, -1]]), axis=1)
    weight = np.concatenate([bytes_of[site].cpu().double().numpy() for site in errors])
    low, high = 0.0, float(curves.max())
    for _ in range(60):
        error = (low + high) / 2
        chosen = np.array([np.interp(error, curve, points) for curve in curves])
        low, high = (error, high) if (weight @ chosen) / total < target else (low, error)
    parts = torch.tensor(chosen, dtype=torch.float32).split([len(errors[site]) for site in errors])
    return dict(zip(errors, parts, strict=True))


def _power_curve(fine: np.ndarray, shares: tuple[float, ...], loss: np.ndarray) -> np.ndarray:
    """Interpolate between the measured points as powers of the share: measured losses grow like p³ to p⁴.

    Straight lines instead would let layers that are alike jump between measured points.
    """
    x, y = np.log(shares), np.log(np.maximum.accumulate(np.maximum(loss, _LEAST)))
    inside = np.clip(np.log(np.maximum(fine, 1e-3)), x[0], x[-1])
    beyond = np.log(np.maximum(fine, 1e-3)) - inside
    curve = np.exp(np.interp(inside, x, y) + _EXPONENT * beyond)
    return np.where(fine == 0, 0.0, curve)
