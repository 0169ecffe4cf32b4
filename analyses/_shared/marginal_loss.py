"""What one token's budget is worth: measured by moving budgets at random, predicted from what is known before the token, and spent.

A token that is processed at another sparsity changes its own prediction, and that change is what its budget buys. Were all tokens
moved together, each would also see its neighbours' change; so the thresholds of each token and group of layers are moved up or down at random, and
a second pass moves all of them the other way. The difference of a token's divergence between both passes, times its own sign, is on
average what its own budget does.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

LEAST = 1e-4  # nats: divergence below is not told apart
KNOWN = ("surprisal", "entropy", "margin", "position")
LIMIT = 0.6  # of a planned shift of log thresholds


def signs(texts: int, length: int, groups: int, seed: int) -> Tensor:
    """Return +1 or −1 for each token and group of layers, ``(texts, n, groups)``."""
    drawn = torch.randint(0, 2, (texts, length, groups), generator=torch.Generator().manual_seed(seed))
    return 2.0 * drawn - 1.0


def own_effect(up: Tensor, down: Tensor, sign: Tensor) -> Tensor:
    """Return what moving each group up does to a token's divergence, without bias but with noise ``(texts, n, groups)``.

    ``up (texts, n)`` is the divergence where shifts have the signs of ``sign``, ``down`` where they are turned.
    """
    return (up - down)[..., None] * sign


def known_before(costs: Mapping[str, Tensor], first: int) -> Tensor:
    """Return what is known before each token is processed ``(texts, n, 6)``; ``first`` is the first token's position.

    Its surprisal and the entropy (bits) and margin (nats) of the distribution it came from, log position, and the
    square of surprisal and its product with entropy, each in units that keep weights near 1.
    """
    s, h, m = costs["surprisal"] / 5 - 1, costs["entropy"] / 2.5 - 2, costs["margin"] - 1
    position = (first + torch.arange(s.shape[1])).float().log().expand_as(s) - 4
    return torch.stack([s, h, m, position, s * s, s * h], dim=-1)


def explained(costs: Mapping[str, Tensor], first: int, folds: int = 8) -> dict[str, tuple[float, float]]:
    """Return which share of the variance of log divergence, and of divergence, is known beforehand, on texts left out.

    By what it is known from: each of `KNOWN` alone, and all of `known_before`; least squares, texts of a fold together.
    """
    x = known_before(costs, first)
    y = torch.stack([costs["divergence"].clamp_min(LEAST).log(), costs["divergence"]], dim=-1)
    columns = {name: [place] for place, name in enumerate(KNOWN)} | {"all": list(range(x.shape[-1]))}
    return {name: _left_out(x[..., places], y, folds) for name, places in columns.items()}


def _left_out(x: Tensor, y: Tensor, folds: int) -> tuple[float, float]:
    fold = torch.arange(len(x)) % folds
    rest = torch.zeros_like(y)
    for own in range(folds):
        seen, new = (_with_one(x[part]) for part in (fold != own, fold == own))
        weights = torch.linalg.lstsq(seen.flatten(0, 1), y[fold != own].flatten(0, 1)).solution
        rest[fold == own] = y[fold == own] - new @ weights
    share = 1 - rest.flatten(0, 1).var(0) / y.flatten(0, 1).var(0)
    return float(share[0]), float(share[1])


def _with_one(x: Tensor) -> Tensor:
    return torch.cat([torch.ones(*x.shape[:-1], 1), x], dim=-1)


def fit_log_link(x: Tensor, z: Tensor, ridge: float = 1e-3, steps: int = 50) -> Tensor:
    """Return weights w ``(k + 1,)``, intercept first, of E[z] = exp(w·[1, x]); z may be negative.

    Quasi-Poisson estimating equations Σ x (z − exp(w·x)) = ridge·n·w, by Newton's method with halved steps.
    """
    x = _with_one(x).double()
    z = z.double()
    w = torch.zeros(x.shape[1], dtype=torch.double)
    w[0] = z.mean().clamp_min(1e-6).log()
    penalty = ridge * torch.ones_like(w)
    penalty[0] = 0

    def objective(w: Tensor) -> Tensor:
        eta = (x @ w).clamp(max=20)
        return (eta.exp() - z * eta).mean() + 0.5 * (penalty * w * w).sum()

    for _ in range(steps):
        mean = (x @ w).clamp(max=20).exp()
        gradient = x.T @ (mean - z) / len(z) + penalty * w
        step = torch.linalg.solve((x * mean[:, None]).T @ x / len(z) + torch.diag(penalty + 1e-9), gradient)
        size = 1.0
        while size > 1e-4 and objective(w - size * step) > objective(w):
            size /= 2
        w = w - size * step
        if float((size * step).abs().max()) < 1e-8:
            break
    return w.float()


def predict(x: Tensor, w: Tensor) -> Tensor:
    """Return log E[z] ``(…,)`` from ``x (…, k)``."""
    return w[0] + x @ w[1:]


def budget(log_worth: Tensor, kappa: float, centre: Tensor | float) -> Tensor:
    """Return the shift of log thresholds −κ·(log worth − centre), within `LIMIT`.

    Where each token's loss grows like exp(k·sparsity) times its worth, equal marginal loss is such a shift.
    """
    return (-kappa * (log_worth - centre)).clamp(-LIMIT, LIMIT)


def shuffled(shift: Tensor, seed: int) -> Tensor:
    """Return the same shifts handed to other tokens of the same texts ``(texts, n, …)``."""
    flat = shift.flatten(0, 1)
    order = torch.randperm(len(flat), generator=torch.Generator().manual_seed(seed))
    return flat[order].view_as(shift)
