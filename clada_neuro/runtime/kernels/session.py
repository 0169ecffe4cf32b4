"""One sequence under a policy in kernels: the fast counterpart of `clada_neuro.runtime.attach`.

The policy object is the same and so is its state; what it decides from prefix and load is handed to a kernel as cut-offs
or a set of neurons (once a sequence) and a threshold scale (once a token).
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.models.ffn import FFN
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.kernels.selection import check_policy, chosen_neurons, cutoffs, sparsity_of
from clada_neuro.runtime.policy import HIDDEN, Policy, State, scope_reads
from clada_neuro.runtime.thresholds import Compensation, ThresholdPolicy


class Kernel(Protocol):
    """A model's pass over a prompt and over one more token, whose blocks read what they are told to.

    Attributes
    ----------
    model : transformers.PreTrainedModel
    layers : list of FFN
    skips_attention : bool
        Whether rows of attention's maps can be left out.
    """

    model: PreTrainedModel
    layers: list[FFN]
    skips_attention: bool

    def prefill(self, ids: Tensor) -> Tensor:
        """Process a prompt ``(tokens,)`` with the model itself; return the next token's logits ``(1, vocabulary)``."""

    def step(self, token: Tensor) -> Tensor:
        """Process ``token (1,)``; return the next one's logits ``(1, vocabulary)``, overwritten by the next call."""

    def use_neurons(self, neurons: Tensor | None) -> None:
        """Compute only ``neurons (layers, kept)`` from now on, ``None`` for all, and compensate for nothing."""

    def use_cutoffs(self, cutoffs: Mapping[str, Tensor]) -> None:
        """Keep rows with |value| ≥ scale·cutoff, ``(layers, rows)`` by site; every row of a site without any."""

    def follow(self, scale: Tensor, means: Mapping[str, Compensation]) -> None:
        """Set the threshold scale ``(1,)`` of the coming token, and what stands in for the rows it drops.

        The block's stands at the hidden site, those of attention's maps at their own.
        """

    def surprisal_and_entropy(self, token: Tensor) -> tuple[float, float] | tuple[Tensor, Tensor]:
        """Return those of a token ``(1,)`` drawn from the last logits, in bits."""

    def stepping(self) -> AbstractContextManager[None]:
        """Return a context for all that happens between two tokens."""

    @property
    def masks(self) -> dict[str, Tensor]:
        """Which rows the last token read, ``(layers, rows)`` by site."""

    @property
    def activity(self) -> Tensor:
        """The last token's hidden activation a, ``(layers, neurons)``."""


class KernelSession:
    """A policy at work on one sequence.

    Parameters
    ----------
    kernel : Kernel
        Sessions may share it one after the other.
    policy : Policy
        Dense, per-token thresholds at the input and hidden sites and, where the kernel can, attention's, or one set of neurons
        a sequence.
    prompt : Tensor
        ``(tokens,)``.

    Attributes
    ----------
    state : State
        The policy's state of the sequence, after `prefill`.

    Raises
    ------
    ModelError
        If kernels cannot follow the policy.
    """

    def __init__(self, kernel: Kernel, policy: Policy, prompt: Tensor) -> None:
        check_policy(policy, kernel.skips_attention)
        self.kernel, self.policy, self.prompt = kernel, policy, prompt
        self.state: State
        self._reads = policy.reads(kernel.layers[0])
        self._scope_reads = scope_reads(kernel.layers[0], policy)
        self._means = _means(policy)

    def prefill(self) -> Tensor:
        """Process the prompt densely; return logits ``(1, vocabulary)``."""
        with torch.no_grad(), attach(self.kernel.model, self.policy) as session:
            self._logits = self.kernel.prefill(self.prompt)
        self.state = session.state
        self.kernel.use_neurons(chosen_neurons(self.policy, self.kernel.layers, self.state))
        self._use_cutoffs()
        return self._logits

    def stepping(self) -> AbstractContextManager[None]:
        """Return the kernel's context for all that happens between two tokens."""
        return self.kernel.stepping()

    def observe(self, token: Tensor) -> None:
        """Let the policy see ``token (1,)``, drawn from the last logits, and set what it changes."""
        if isinstance(self.policy, Clada):
            self.policy.take_in(self.state, *self.kernel.surprisal_and_entropy(token))
        else:
            self.policy.observe(self.state, self._logits, token)
        self.kernel.follow(self.state.scale[0], self._means)

    def step(self, token: Tensor) -> Tensor:
        """Process the observed token by the policy; return the next logits ``(1, vocabulary)``.

        Only a policy that refreshes prefix statistics on some tokens waits here, to learn whether this is one.
        """
        self._logits = self.kernel.step(token)
        if self.policy.uses_prefix and self.policy.sequential and bool(self.state.dense):
            self._refresh()
        return self._logits

    def keep(self, index: Tensor) -> None:
        """Nothing to do: the only sequence ends or goes on."""

    def ffn_sparsity(self) -> Tensor:
        """Return the share of each block's weight bytes that the last token did not read, ``(1, layers)``."""
        return sparsity_of(self._reads, self.kernel.masks)[None]

    def sparsity(self) -> Tensor:
        """Return the same of what the policy's scope is."""
        return sparsity_of(self._scope_reads, self.kernel.masks)[None]

    def dropped(self) -> dict[str, Tensor]:
        """Return the share of each site's rows that the last token did not read, ``(1, layers)``."""
        sites = (*self.policy.attention_sites, *self.policy.sites)
        masks = self.kernel.masks
        return {site: 1 - masks[site].float().mean(-1)[None] for site in sites if site in masks}

    def _refresh(self) -> None:
        """Take the last token, computed densely, into the prefix statistics."""
        counted = torch.ones(1, 1, dtype=torch.bool, device=self.state.scale.device)
        for layer, a in enumerate(self.kernel.activity):
            self.state.prefix.update(layer, a[None, None], counted)
        self._use_cutoffs()

    def _use_cutoffs(self) -> None:
        self.kernel.use_cutoffs(cutoffs(self.policy, self.kernel.layers, self.state))


def _means(policy: Policy) -> dict[str, Compensation]:
    """Return what stands in for dropped rows, by site; the block's at the hidden one."""
    if not isinstance(policy, ThresholdPolicy):
        return {}
    block = {} if policy.mean_of_dropped is None else {HIDDEN: policy.mean_of_dropped}
    return {**block, **policy.mean_at}
