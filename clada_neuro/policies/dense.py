"""Dense: every row of every matrix is read. The reference of every comparison."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from clada_neuro.policies.declaration import Declaration
from clada_neuro.runtime.policy import SCOPES, Policy, State


@dataclass(frozen=True, eq=False)
class Dense(Policy):
    """Nothing is skipped."""

    name: ClassVar[str] = "dense"
    sites: ClassVar[tuple[str, ...]] = ()

    def select(self, layer: int, site: str, values: Tensor, state: State) -> Tensor:
        """Return a mask that keeps everything."""
        return torch.ones_like(values, dtype=torch.bool)


DECLARED = [Declaration("dense", 0, lambda asked: Dense(), calibrated=False, compared=True, scopes=SCOPES)]
