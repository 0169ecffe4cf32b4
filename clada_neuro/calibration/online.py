"""Choose what acts online, the prefix term, load and reanalysis, at equal cost; solve every control's offset.

A candidate is measured at the sparsity it happens to have and carried to the base's sparsity along the base's own slope
of divergence over sparsity; so nothing wins by reading more. The one with the least divergence is taken. Where none
beats zero, the best that costs less than `NO_LOSS` is taken, following the paper; else zero.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.calibration.artifact import Calibration
from clada_neuro.calibration.fit import DENSE_PREFIX
from clada_neuro.calibration.loss import Cost, Yardstick
from clada_neuro.calibration.policies import CONTROLS, base_policy, make_policy
from clada_neuro.models.ffn import FFN
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.cognitive_load import LoadSignal
from clada_neuro.runtime.scoring import score

NO_LOSS = 0.001  # nats per token
_GAMMAS = (0.1, 0.3)
_KAPPAS = (0.05, 0.1)
_ALPHAS = (1.0, 0.5, 0.0)
_RATES = (0.02,)
_OFFSET_TEXTS = 4
_LOAD_QUANTILES = 101


@dataclass(frozen=True)
class _Tried:
    """A candidate and its divergence over the base at equal cost, one value a text."""

    policy: Clada
    cost: Cost
    difference: Tensor

    def row(self, **label: Any) -> dict[str, Any]:
        """Return what the header records."""
        error = float(self.difference.std()) / math.sqrt(len(self.difference))
        sparsity = round(float(self.cost.ffn_sparsity.mean()), 4)
        return {
            **label,
            "difference_nats": round(float(self.difference.mean()), 5),
            "standard_error": round(error, 5),
            "ffn_sparsity": sparsity,
        }


class _Contest:
    """Candidates against a base, on the same texts, at the base's cost."""

    def __init__(self, yardstick: Yardstick, base: Clada, slope: float, cost: Cost) -> None:
        self.yardstick, self.base, self.slope, self.cost = yardstick, base, slope, cost

    def enter(self, policy: Clada) -> _Tried:
        """Measure a candidate."""
        cost = self.yardstick.measure(policy)
        cheaper = float(cost.ffn_sparsity.mean() - self.cost.ffn_sparsity.mean())
        return _Tried(policy, cost, cost.divergence - self.cost.divergence - self.slope * cheaper)

    def settle(self, tried: list[_Tried]) -> bool:
        """Make the best candidate the new base, if the rule takes one."""
        best = min(tried, key=lambda candidate: float(candidate.difference.mean()))
        taken = float(best.difference.mean()) < NO_LOSS
        if taken:
            self.base, self.cost = best.policy, best.cost
        return taken


def choose_online(
    model: PreTrainedModel,
    layers: list[FFN],
    offline: Calibration,
    tokens: Tensor,
    target: float,
    tick: Callable[[int], object],
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the header entries ``prefix``, ``load``, ``reanalysis`` and ``offsets``, and the load's quantiles."""
    yardstick = Yardstick(model, tokens, DENSE_PREFIX)
    tick(tokens.numel())
    contest = _base_contest(yardstick, offline, target)
    header: dict[str, Any] = {"prefix": _prefix(contest, offline)}
    tick(tokens.numel() * (3 + len(_GAMMAS)))
    surprisal, entropy = _signals(contest.cost)
    header["load"] = _load(contest, surprisal, entropy)
    tick(tokens.numel() * (len(_ALPHAS) + len(_KAPPAS) + 1))
    load = contest.base.signal(surprisal, entropy)
    header["reanalysis"] = _reanalysis(contest, load)
    tick(tokens.numel() * len(_RATES))
    quantiles = torch.quantile(load[:1_000_000], torch.linspace(0, 1, _LOAD_QUANTILES))
    chosen = Calibration(
        {**offline.header, **header, "offsets": {}}, {**offline.tensors, "load_quantiles": quantiles}
    )
    header["offsets"] = _offsets(model, layers, chosen, tokens[:_OFFSET_TEXTS], target, tick)
    return header, {"load_quantiles": quantiles}


def _base_contest(yardstick: Yardstick, offline: Calibration, target: float) -> _Contest:
    base = base_policy(offline, target)
    low, cost, high = (yardstick.measure(base_policy(offline, target + step)) for step in (-0.04, 0.0, 0.04))
    slope = float(
        (high.divergence.mean() - low.divergence.mean())
        / (high.ffn_sparsity.mean() - low.ffn_sparsity.mean())
    )
    return _Contest(yardstick, base, slope, cost)


def _prefix(contest: _Contest, offline: Calibration) -> dict[str, Any]:
    tried = [contest.enter(replace(contest.base, gamma=g, prior=offline.tensors["prior"])) for g in _GAMMAS]
    rows = [candidate.row(gamma=candidate.policy.gamma) for candidate in tried]
    contest.settle(tried)
    return {"gamma": contest.base.gamma, "tried": rows}


def _signals(cost: Cost) -> tuple[Tensor, Tensor]:
    """Return surprisal and entropy of the tokens that the policy processed, in bits."""
    parts = [(s.surprisal_bits[s.prefix + 1 :], s.entropy_bits[s.prefix + 1 :]) for s in cost.scores]
    surprisal, entropy = (torch.cat(values) for values in zip(*parts, strict=True))
    return surprisal, entropy


def _load(contest: _Contest, surprisal: Tensor, entropy: Tensor) -> dict[str, Any]:
    """Choose α at the largest κ, then κ; a reversed load shows whether the sign of load matters."""
    statistics = [float(value) for values in (surprisal, entropy) for value in (values.mean(), values.std())]
    plain = contest.base

    def candidate(kappa: float, alpha: float) -> Clada:
        return replace(plain, kappa=kappa, signal=LoadSignal(alpha, *statistics))

    tried = [contest.enter(candidate(max(_KAPPAS), alpha)) for alpha in _ALPHAS]
    best = min(tried, key=lambda entry: float(entry.difference.mean())).policy.signal.alpha
    tried += [contest.enter(candidate(kappa, best)) for kappa in _KAPPAS if kappa != max(_KAPPAS)]
    rows = [entry.row(kappa=entry.policy.kappa, alpha=entry.policy.signal.alpha) for entry in tried]
    reversed_load = CONTROLS["reversed-load"](candidate(max(_KAPPAS), best), Calibration({}, {}))
    rows.append(contest.enter(reversed_load).row(kappa=-max(_KAPPAS), alpha=best))
    if not contest.settle(tried):
        contest.base = replace(plain, signal=LoadSignal(best, *statistics))
    return {"kappa": contest.base.kappa, "signal": asdict(contest.base.signal), "tried": rows}


def _reanalysis(contest: _Contest, load: Tensor) -> dict[str, Any]:
    limits = {rate: float(torch.quantile(load[:1_000_000], 1 - rate)) for rate in _RATES}
    tried = [contest.enter(replace(contest.base, reanalysis_load=limit)) for limit in limits.values()]
    rows = [entry.row(rate=rate) for rate, entry in zip(limits, tried, strict=True)]
    contest.settle(tried)
    limit = contest.base.reanalysis_load
    rate = next((rate for rate, value in limits.items() if value == limit), 0.0)
    return {
        "rate": rate,
        "load": limit if math.isfinite(limit) else None,
        "period": round(1 / (rate or max(_RATES))),
        "tried": rows,
    }


def _offsets(
    model: PreTrainedModel,
    layers: list[FFN],
    calibration: Calibration,
    tokens: Tensor,
    target: float,
    tick: Callable[[int], object],
) -> dict[str, float]:
    """Return for CLADA and each control the log scale that brings mean sparsity to the target, in closed loop."""
    step = 0.02
    rise = math.log(calibration.scale_for(target + step) / calibration.scale_for(target - step)) / (2 * step)
    offsets: dict[str, float] = {}
    for name in ("clada", *CONTROLS, "clada-uncompensated"):
        calibration.header["offsets"][name] = 0.0
        scores = score(
            model, make_policy(name, layers, calibration, target), tokens.tolist(), prefix=DENSE_PREFIX
        )
        reached = float(torch.cat([s.ffn_sparsity[s.prefix :] for s in scores]).mean())
        offsets[name] = round((target - reached) * rise, 5)
        tick(tokens.numel())
    return offsets
