"""CLADA from a calibration, whole or without its compensation; the rule is `clada_neuro.runtime.clada`."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from clada_neuro.passes.passage import Passage
from clada_neuro.policies.artifact import Calibration
from clada_neuro.policies.declaration import Declaration, PolicyRequest, Timed
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.cognitive_load import Bits, LoadSignal
from clada_neuro.runtime.policy import ATTENTION, SCOPES, SITES, State
from clada_neuro.runtime.thresholds import Compensation

_KAPPA = 0.1  # of a model without calibration


def base_policy(calibration: Calibration, sparsity: float) -> Clada:
    """Return CLADA with its thresholds and compensation only: no prefix term, no load, no reanalysis."""
    tensors, sites = calibration.tensors, SITES[calibration.scope]
    scales = torch.tensor([0.0, *calibration.header["curve"]["scale"]], device=tensors["bias"].device)
    return Clada(
        thresholds={site: tensors[f"{site}_thresholds"] for site in sites},
        weights={site: tensors[f"{site}_weights"] for site in sites},
        mean_of_dropped=Compensation(scales, tensors["bias"]),
        mean_at={site: Compensation(scales, tensors[f"{site}_bias"]) for site in sites if site in ATTENTION},
        base_scale=calibration.scale_for(sparsity),
    )


def full_policy(calibration: Calibration, sparsity: float) -> Clada:
    """Return CLADA with the chosen prefix term, load and reanalysis, its offset not yet applied."""
    header = calibration.header
    limit = header["reanalysis"]["load"]
    return replace(
        base_policy(calibration, sparsity),
        gamma=header["prefix"]["gamma"],
        prior=calibration.tensors["prior"],
        kappa=header["load"]["kappa"],
        signal=LoadSignal(**header["load"]["signal"]),
        reanalysis_load=math.inf if limit is None else limit,
    )


def changed(
    name: str,
    place: int,
    change: Callable[[Clada, Calibration], Clada],
    *,
    compared: bool = False,
    timed: Timed | None = None,
) -> Declaration:
    """Declare CLADA with a change, its mean sparsity brought back to the target by an offset of its own."""

    def make(asked: PolicyRequest) -> Clada:
        policy = change(full_policy(asked.calibration, asked.sparsity), asked.calibration)
        offset = asked.calibration.header["offsets"][name]
        return replace(policy, base_scale=policy.base_scale * math.exp(offset))

    return Declaration(name, place, make, offset=True, compared=compared, timed=timed, scopes=SCOPES)


@dataclass(frozen=True, eq=False)
class ReplayedLoad(Clada):
    """CLADA with the load of a recording, for models whose own predictions mean nothing."""

    name: ClassVar[str] = "clada"
    recorded: Tensor | None = None

    def load(self, surprisal: Bits, entropy: Bits, state: State) -> Tensor:
        """Return the recorded λ of the token's position ``(batch,)``."""
        assert self.recorded is not None
        return self.recorded[state.step % len(self.recorded)]


def _uncalibrated(passage: Passage) -> ReplayedLoad:
    thresholds = passage.thresholds(passage.dropped, passage.norms)
    return ReplayedLoad(thresholds, passage.norms, kappa=_KAPPA, recorded=passage.load)


DECLARED = [
    changed("clada", 10, lambda policy, calibration: policy, compared=True, timed=Timed(_uncalibrated)),
    changed(
        "clada-uncompensated",
        30,
        lambda policy, calibration: replace(policy, mean_of_dropped=None, mean_at={}),
    ),
]
