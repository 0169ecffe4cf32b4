"""What a policy decides once a sequence, as numbers that kernels can follow: cut-offs of rows, and sets of neurons."""

from dataclasses import replace

import torch
from torch import Tensor

from clada_neuro.errors import ModelError
from clada_neuro.models.ffn import FFN
from clada_neuro.runtime.policy import HIDDEN, INPUT, NEURON, Policy, Reads, State
from clada_neuro.runtime.thresholds import ThresholdPolicy

_FINITE = 1e30  # larger than any activation; an infinite cut-off would be undefined at scale 0


def check_policy(policy: Policy) -> None:
    """Raise `ModelError` unless kernels can follow the policy."""
    if type(policy).masked is not Policy.masked:
        raise ModelError(
            f"policy '{policy.name}' does more with dropped rows than leave them out; use the PyTorch path"
        )
    if policy.attention_sites:
        raise ModelError(
            f"policy '{policy.name}' masks attention, too, where the compiled step is dense; use the PyTorch path, or scope ffn"
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


def cutoffs(policy: Policy, site: str, layers: list[FFN], state: State) -> Tensor | None:
    """Return ``(layers, rows)``: what |value| has to reach at scale 1. ``None`` where the policy masks nothing."""
    if site not in policy.sites:
        return None
    assert isinstance(policy, ThresholdPolicy)
    unit = replace(state, scale=torch.ones_like(state.scale))
    return torch.stack([_cutoff(policy, site, ffn, unit) for ffn in layers])


def _cutoff(policy: ThresholdPolicy, site: str, ffn: FFN, unit: State) -> Tensor:
    threshold = policy.threshold(ffn.layer, site, unit).reshape(-1)
    if site in policy.weights:
        threshold = threshold / policy.weights[site][ffn.layer]
    return threshold.clamp(max=_FINITE).expand(ffn.hidden_size if site == INPUT else ffn.intermediate_size)


def chosen_neurons(policy: Policy, layers: list[FFN], state: State) -> Tensor | None:
    """Return the neurons ``(layers, kept)`` of a policy that decides them once a sequence, else ``None``."""
    if NEURON not in policy.sites:
        return None
    values = torch.zeros(1, 1, layers[0].intermediate_size, device=state.scale.device)
    masks = [policy.select(ffn.layer, NEURON, values, state)[0, 0] for ffn in layers]
    return torch.stack([mask.nonzero().squeeze(1) for mask in masks])


def sparsity_of(block: Reads, input_mask: Tensor, neuron_mask: Tensor) -> Tensor:
    """Return the share of each block's weight bytes that was not read, ``(layers,)``, from a token's masks.

    ``input_mask (layers, hidden)``; ``neuron_mask (layers, neurons)`` of the neurons that were there to be read.
    """
    neurons = neuron_mask.sum(-1)
    share = block.sparsity({INPUT: input_mask.sum(-1), HIDDEN: neurons, NEURON: neurons})
    return share.to(input_mask.device).expand(len(input_mask))
