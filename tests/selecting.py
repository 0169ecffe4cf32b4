"""Which rows a policy keeps, on numbers worked out by hand."""

import torch

from clada_neuro.runtime.policy import Policy, State
from clada_neuro.runtime.prefix import Prefix


def state(policy: Policy, prefix: Prefix | None = None) -> State:
    found = policy.init(prefix or Prefix(1))
    found.scale = torch.ones(1, 1)
    return found


def selected(policy: Policy, site: str, values: list[float], of: State | None = None) -> list[int]:
    mask = policy.select(0, site, torch.tensor([[values]]), of or state(policy))
    return mask[0, 0].int().tolist()
