"""Choose what acts online, the prefix term, load and reanalysis, at equal cost; solve every control's offset.

A candidate is measured at the sparsity it happens to have and carried to the base's sparsity along the base's own slope
of divergence over sparsity; so nothing wins by reading more. Load comes from the base's own predictions, which is the
first of the passes of `clada_neuro.runtime.fixed_point`. The one with the least divergence is taken. Where none
beats zero, the best that costs less than `NO_LOSS` is taken, following the paper; else zero.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from clada_neuro.calibration.loss import Cost, Yardstick
from clada_neuro.models.ffn import FFN
from clada_neuro.models.places import Places
from clada_neuro.passes.measure import DENSE_PREFIX
from clada_neuro.passes.pieces import Pieces
from clada_neuro.policies.artifact import Calibration
from clada_neuro.policies.clada import base_policy
from clada_neuro.policies.controls import ReversedLoad, recast
from clada_neuro.policies.registry import OFFSET, make_policy
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.cognitive_load import LoadSignal
from clada_neuro.runtime.policy import SHARE

NO_LOSS = 0.001  # nats per token
_GAMMAS = (0.1,)
_KAPPAS = (0.05, 0.02)
_ALPHAS = (1.0, 0.5, 0.0)
_RATES = (0.02,)
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
        sparsity = round(float(self.cost.sparsity.mean()), 4)
        return {
            **label,
            "difference_nats": round(float(self.difference.mean()), 5),
            "standard_error": round(error, 5),
            SHARE[self.policy.scope]: sparsity,
        }


class _Contest:
    """Candidates against a base, on the same texts, at the base's cost."""

    def __init__(self, yardstick: Yardstick, base: Clada, slope: float, cost: Cost) -> None:
        self.yardstick, self.base, self.slope, self.cost = yardstick, base, slope, cost

    def enter(self, label: str, policy: Clada) -> _Tried:
        """Measure a candidate."""
        cost = self.yardstick.measure(label, policy, self.cost if policy.sequential else None)
        cheaper = float(cost.sparsity.mean() - self.cost.sparsity.mean())
        return _Tried(policy, cost, cost.divergence - self.cost.divergence - self.slope * cheaper)

    def settle(self, tried: list[_Tried]) -> bool:
        """Make the best candidate the new base, if the rule takes one."""
        best = min(tried, key=lambda candidate: float(candidate.difference.mean()))
        taken = float(best.difference.mean()) < NO_LOSS
        if taken:
            self.base, self.cost = best.policy, best.cost
        return taken


def choose_online(
    places: Places,
    layers: list[FFN],
    pieces: Pieces,
    tick: Callable[[int], object],
    offline: Calibration,
    tokens: Tensor,
    target: float,
) -> Calibration:
    """Return the header entries ``prefix``, ``load``, ``reanalysis`` and ``offsets``, and the load's quantiles."""
    yardstick = Yardstick(places, tokens, DENSE_PREFIX, pieces, "selection", tick)
    contest = _base_contest(yardstick, offline, target)
    header: dict[str, Any] = {"prefix": _prefix(contest, offline)}
    processed = slice(DENSE_PREFIX, None)
    surprisal = contest.cost.surprisal_bits[:, processed].flatten()
    entropy = contest.cost.entropy_bits[:, processed].flatten()
    header["load"] = _load(contest, surprisal, entropy)
    load = contest.base.signal(surprisal, entropy)
    header["reanalysis"] = _reanalysis(contest, load)
    quantiles = torch.quantile(load, torch.linspace(0, 1, _LOAD_QUANTILES)).to(tokens.device)
    chosen = Calibration({**offline.header, **header}, {**offline.tensors, "load_quantiles": quantiles})
    chosen.header["offsets"] = _offsets(yardstick, layers, chosen, contest.cost, target)
    return Calibration({**header, "offsets": chosen.header["offsets"]}, {"load_quantiles": quantiles})


def _base_contest(yardstick: Yardstick, offline: Calibration, target: float) -> _Contest:
    low, cost, high = (
        yardstick.measure(f"base{step:+}", base_policy(offline, target + step)) for step in (-0.04, 0.0, 0.04)
    )
    rise = float(high.divergence.mean() - low.divergence.mean())
    slope = rise / float(high.sparsity.mean() - low.sparsity.mean())
    return _Contest(yardstick, base_policy(offline, target), slope, cost)


def _prefix(contest: _Contest, offline: Calibration) -> dict[str, Any]:
    prior = offline.tensors["prior"]
    tried = [contest.enter(f"gamma{g}", replace(contest.base, gamma=g, prior=prior)) for g in _GAMMAS]
    rows = [candidate.row(gamma=candidate.policy.gamma) for candidate in tried]
    contest.settle(tried)
    return {"gamma": contest.base.gamma, "tried": rows}


def _load(contest: _Contest, surprisal: Tensor, entropy: Tensor) -> dict[str, Any]:
    """Choose α at the largest κ, then κ; a reversed load shows whether the sign of load matters."""
    statistics = [float(value) for values in (surprisal, entropy) for value in (values.mean(), values.std())]
    plain, most = contest.base, max(_KAPPAS)

    def candidate(kappa: float, alpha: float) -> Clada:
        return replace(plain, kappa=kappa, signal=LoadSignal(alpha, *statistics))

    def enter(kappa: float, alpha: float) -> _Tried:
        return contest.enter(f"kappa{kappa}-alpha{alpha}", candidate(kappa, alpha))

    tried = [enter(most, alpha) for alpha in _ALPHAS]
    best = min(tried, key=lambda entry: float(entry.difference.mean())).policy.signal.alpha
    tried += [enter(kappa, best) for kappa in _KAPPAS if kappa != most]
    rows = [entry.row(kappa=entry.policy.kappa, alpha=entry.policy.signal.alpha) for entry in tried]
    reversed_load = recast(candidate(most, best), ReversedLoad)
    rows.append(contest.enter(f"kappa-{most}-alpha{best}", reversed_load).row(kappa=-most, alpha=best))
    if not contest.settle(tried):
        contest.base = replace(plain, signal=LoadSignal(best, *statistics))
    return {"kappa": contest.base.kappa, "signal": asdict(contest.base.signal), "tried": rows}


def _reanalysis(contest: _Contest, load: Tensor) -> dict[str, Any]:
    limits = {rate: float(torch.quantile(load, 1 - rate)) for rate in _RATES}
    tried = [
        contest.enter(f"reanalysis{rate}", replace(contest.base, reanalysis_load=limit))
        for rate, limit in limits.items()
    ]
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
    yardstick: Yardstick, layers: list[FFN], calibration: Calibration, load_from: Cost, target: float
) -> dict[str, float]:
    """Return for CLADA and each control the log scale that brings mean sparsity to the target."""
    step = 0.02
    rise = math.log(calibration.scale_for(target + step) / calibration.scale_for(target - step)) / (2 * step)
    calibration.header["offsets"] = dict.fromkeys(OFFSET, 0.0)
    reached: dict[tuple, float] = {}
    offsets = {}
    for name in OFFSET:
        policy = make_policy(name, layers, calibration, target)
        assert isinstance(policy, Clada)
        plain = policy.mean_of_dropped is None
        same = (type(policy), policy.gamma, policy.kappa, policy.signal, policy.reanalysis_load, plain)
        if same not in reached:  # a control that takes out what was not chosen is CLADA itself
            cost = yardstick.measure(f"control-{name}", policy, load_from if policy.sequential else None)
            reached[same] = float(cost.sparsity.mean())
        offsets[name] = round((target - reached[same]) * rise, 5)
    return offsets
