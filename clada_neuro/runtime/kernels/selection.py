"""What a policy decides once a sequence, as numbers that kernels can follow: cut-offs of rows, and sets of neurons."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from clada_neuro.errors import ModelError
from clada_neuro.models.ffn import FFN
from clada_neuro.runtime.policy import HIDDEN, INPUT, NEURON, Policy, Reads, State, rows
from clada_neuro.runtime.thresholds import ThresholdPolicy

_FINITE = 1e30  # larger than any activation; an infinite cut-off would be undefined at scale 0


def check_policy(policy: Policy, attention: bool = True) -> None:
    """Raise `ModelError` unless kernels can follow the policy; not all of them leave out rows of ``attention``."""
    if type(policy).masked is not Policy.masked:
        raise ModelError(
            f"policy '{policy.name}' does more with dropped rows than leave them out; use the PyTorch path"
        )
    if policy.attention_sites and not attention:
        raise ModelError(
            f"policy '{policy.name}' masks attention, too, which is dense in the kernels of this device; use the PyTorch path, or "
            "scope ffn"
        )
    if policy.sites in ((), (NEURON,)):
        return
    if not isinstance(policy, ThresholdPolicy) or not set(policy.sites) <= {INPUT, HIDDEN}:
        raise ModelError(
            f"policy '{policy.name}' masks {', '.join(policy.sites)}; the compiled step follows thresholds "
            f"at {INPUT} and {HIDDEN}, and {NEURON} sets; use the PyTorch path"
        )
    if type(policy).score is not ThresholdPolicy.score:
        raise ModelError(
            f"policy '{policy.name}' scores rows by more than |value| times a weight, which is all that the compiled step "
            "compares; use the PyTorch path"
        )


def cutoffs(policy: Policy, layers: list[FFN], state: State) -> dict[str, Tensor]:
    """Return what |value| has to reach at scale 1, ``(layers, rows)``, by site; none where the policy masks nothing."""
    if not isinstance(policy, ThresholdPolicy):
        return {}
    unit = replace(state, scale=torch.ones_like(state.scale))
    return {
        site: torch.stack([_cutoff(policy, site, ffn, unit) for ffn in layers])
        for site in (*policy.attention_sites, *policy.sites)
    }


def _cutoff(policy: ThresholdPolicy, site: str, ffn: FFN, unit: State) -> Tensor:
    threshold = policy.threshold(ffn.layer, site, unit).reshape(-1)
    if site in policy.weights:
        threshold = threshold / policy.weights[site][ffn.layer]
    return threshold.clamp(max=_FINITE).expand(rows(ffn, site))


def chosen_neurons(policy: Policy, layers: list[FFN], state: State) -> Tensor | None:
    """Return the neurons ``(layers, kept)`` of a policy that decides them once a sequence, else ``None``."""
    if NEURON not in policy.sites:
        return None
    values = torch.zeros(1, 1, layers[0].intermediate_size, device=state.scale.device)
    masks = [policy.select(ffn.layer, NEURON, values, state)[0, 0] for ffn in layers]
    return torch.stack([mask.nonzero().squeeze(1) for mask in masks])


def sparsity_of(layer: Reads, masks: Mapping[str, Tensor]) -> Tensor:
    """Return the share of each layer's weight bytes that was not read, ``(layers,)``, from a token's masks.

    A mask is ``(layers, rows)``; of neurons, of those that were there to be read.
    """
    kept = {site: mask.sum(-1) for site, mask in masks.items()}
    neurons = masks[HIDDEN]
    share = layer.sparsity({**kept, NEURON: kept[HIDDEN]})
    return share.to(neurons.device).expand(len(neurons))
