"""CLADA with one part taken out or replaced, so that a claim about that part can be tested at equal cost.

A control is only comparable under its own offset, which the calibration solves (`clada_neuro.calibration.online`).
"""

from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from clada_neuro.policies.clada import changed
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.cognitive_load import Bits
from clada_neuro.runtime.policy import State

Kind = TypeVar("Kind", bound=Clada)


@dataclass(frozen=True, eq=False)
class RandomLoad(Clada):
    """Load drawn from the calibration distribution, seeded by sequence and position."""

    name: ClassVar[str] = "random-load"
    quantiles: Tensor | None = None

    def load(self, surprisal: Bits, entropy: Bits, state: State) -> Tensor:
        """Return λ ``(batch,)`` independent of the text."""
        assert self.quantiles is not None
        place = uniform(state.seeds, state.step) * (len(self.quantiles) - 1)
        low = place.floor().long().clamp(max=len(self.quantiles) - 2)
        return torch.lerp(self.quantiles[low], self.quantiles[low + 1], place - low)


@dataclass(frozen=True, eq=False)
class ReversedLoad(Clada):
    """Load with its sign turned: surprising tokens get less."""

    name: ClassVar[str] = "reversed-load"

    def load(self, surprisal: Bits, entropy: Bits, state: State) -> Bits | Tensor:
        """Return −λ ``(batch,)``."""
        return -super().load(surprisal, entropy, state)


@dataclass(frozen=True, eq=False)
class PeriodicRefresh(Clada):
    """Dense tokens at a fixed period instead of at high load."""

    name: ClassVar[str] = "periodic-refresh"
    period: int = 10

    @property
    def sequential(self) -> bool:
        """Always: the prefix statistics change on the way."""
        return True

    def acts(self, load: Tensor, state: State) -> Tensor:
        """Return whether the period has come round."""
        return state.step % self.period == 0


@dataclass(frozen=True, eq=False)
class ForeignPrefix(Clada):
    """The prefix term of another sequence."""

    name: ClassVar[str] = "foreign-prefix"
    foreign: Tensor | None = None

    def rank(self, layer: int, state: State) -> Tensor:
        """Return z of a fixed calibration text, ``(1, intermediate)``."""
        assert self.foreign is not None
        return self.foreign[layer][None]


def no_load(policy: Clada) -> Clada:
    """Return the policy with the same scale for every token."""
    return replace(policy, kappa=0.0, reanalysis_load=float("inf"))


def never_refresh(policy: Clada) -> Clada:
    """Return the policy without reanalysis actions."""
    return replace(policy, reanalysis_load=float("inf"))


def no_prefix(policy: Clada) -> Clada:
    """Return the policy without its prefix term."""
    return replace(policy, gamma=0.0)


def surprisal_only(policy: Clada) -> Clada:
    """Return the policy with load = standardised surprisal."""
    return replace(policy, signal=replace(policy.signal, alpha=1.0))


def entropy_only(policy: Clada) -> Clada:
    """Return the policy with load = standardised entropy."""
    return replace(policy, signal=replace(policy.signal, alpha=0.0))


def recast(policy: Clada, kind: type[Kind], **extra: Any) -> Kind:
    """Return the same policy as another class, which may ask for more."""
    same = {field.name: getattr(policy, field.name) for field in fields(Clada)}
    return kind(**(same | extra))


DECLARED = [
    changed("no-load", 20, lambda policy, calibration: no_load(policy), compared=True),
    changed(
        "random-load",
        21,
        lambda policy, calibration: recast(
            policy, RandomLoad, quantiles=calibration.tensors["load_quantiles"]
        ),
        compared=True,
    ),
    changed("reversed-load", 22, lambda policy, calibration: recast(policy, ReversedLoad)),
    changed("surprisal-only", 23, lambda policy, calibration: surprisal_only(policy)),
    changed("entropy-only", 24, lambda policy, calibration: entropy_only(policy)),
    changed(
        "periodic-refresh",
        25,
        lambda policy, calibration: recast(
            policy, PeriodicRefresh, period=calibration.header["reanalysis"]["period"]
        ),
    ),
    changed("never-refresh", 26, lambda policy, calibration: never_refresh(policy)),
    changed("no-prefix", 27, lambda policy, calibration: no_prefix(policy)),
    changed(
        "foreign-prefix",
        28,
        lambda policy, calibration: recast(
            policy, ForeignPrefix, foreign=calibration.tensors["foreign_rank"]
        ),
    ),
]


def uniform(seeds: Tensor, step: Tensor) -> Tensor:
    """Return one number in [0, 1) for each pair of integers, the same on every machine (SplitMix64)."""
    z = seeds * 0x9E3779B97F4A7C1 + step * -0x4B47D0C5A1B2E3F5
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        z = (z ^ _shift(z, shift)) * factor
    z = z ^ _shift(z, 31)
    # Apple's GPUs know no float64.
    return _shift(z, 11).cpu().double().div(2**53).float().clamp(max=1 - 2**-24).to(z.device)


def _shift(z: Tensor, bits: int) -> Tensor:
    """Shift right without the sign."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)
