"""One sequence under a policy in the compiled token step: the fast counterpart of `clada_neuro.runtime.attach`.

The policy object is the same and so is its state; what it decides from prefix and load is handed to the step as
cut-offs (once a sequence) and a threshold scale (once a token).
"""

from bisect import bisect_left
from operator import itemgetter

import torch
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.models.registry import ffn_layers
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.kernels.llama_step import LlamaStep
from clada_neuro.runtime.kernels.selection import check_policy, chosen_neurons, cutoffs, sparsity_of
from clada_neuro.runtime.policy import HIDDEN, INPUT, Policy, State, reads
from clada_neuro.runtime.thresholds import ThresholdPolicy


class CompiledSession:
    """A policy at work on one sequence.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Runs the dense prefill.
    step : LlamaStep
        The same model's compiled step; sessions may share it one after the other.
    policy : Policy
        Dense, per-token thresholds at the input and hidden sites, or one set of neurons a sequence.

    Attributes
    ----------
    state : State
        The policy's state of the sequence, after `prefill`.

    Raises
    ------
    ModelError
        If the step cannot follow the policy.
    """

    def __init__(self, model: PreTrainedModel, step: LlamaStep, policy: Policy) -> None:
        check_policy(policy)
        self.model = model
        self.step = step
        self.policy = policy
        self.state: State
        self._layers = ffn_layers(model)
        self._reads = reads(self._layers[0], policy.sites)
        self._scale = -1.0
        self._stepped = False  # whether the last logits are the step's

    def prefill(self, ids: Tensor) -> Tensor:
        """Process a prompt ``(tokens,)`` densely; return the next token's logits ``(vocabulary,)``."""
        with torch.no_grad(), attach(self.model, self.policy) as session:
            output = self.model(ids[None], use_cache=True, logits_to_keep=1)
        self.state = session.state
        self.step.load_cache(output.past_key_values)
        self.step.use_neurons(self._layers, chosen_neurons(self.policy, self._layers, self.state))
        self._use_cutoffs()
        self.step.bias.zero_()
        self._scale, self._stepped, self._logits = -1.0, False, output.logits[0, -1].float()
        return self._logits

    def drawn(self, token: int) -> Tensor:
        """Process a token drawn from the last logits by the policy; return the next logits ``(vocabulary,)``.

        The result is overwritten by the next call.
        """
        self.observe(token)
        return self.advance(token)

    def observe(self, token: int) -> None:
        """Let the policy see the drawn token and set what it changes: first half of `drawn`."""
        if isinstance(self.policy, Clada) and self._stepped:
            self.policy.take_in(self.state, *self.step.surprisal_and_entropy(token))
        else:
            self.policy.observe(self.state, self._logits[None], torch.tensor([token]))
        scale = float(self.state.scale)
        if scale != self._scale:
            self._scale = scale
            self._use_bias()

    def advance(self, token: int) -> Tensor:
        """Process the observed token: second half of `drawn`."""
        self._logits, self._stepped = self.step(token, self._scale), True
        if self._scale == 0 and self.policy.uses_prefix:
            self._refresh()
        return self._logits

    def ffn_sparsity(self) -> Tensor:
        """Return the share of each block's weight bytes that the last token did not read, ``(layers,)``."""
        return sparsity_of(self._reads, self.step.input_mask, self.step.neuron_mask)

    def _refresh(self) -> None:
        """Take the last token, computed densely, into the prefix statistics."""
        for layer, a in enumerate(self.step.activity):
            self.state.prefix.update(layer, a[None, None], torch.ones(1, 1, dtype=torch.bool))
        self._use_cutoffs()

    def _use_cutoffs(self) -> None:
        inputs, neurons = (cutoffs(self.policy, site, self._layers, self.state) for site in (INPUT, HIDDEN))
        self.step.use_cutoffs(inputs, neurons)

    def _use_bias(self) -> None:
        """Set what stands in for dropped rows: `Compensation` of all layers, in one operation on plain numbers."""
        mean = self.policy.mean_of_dropped if isinstance(self.policy, ThresholdPolicy) else None
        if mean is None:
            return
        scale = min(self._scale, mean.points[-1][0])
        upper = min(max(bisect_left(mean.points, scale, key=itemgetter(0)), 1), len(mean.points) - 1)
        (low, bias), (high, bias_above) = mean.points[upper - 1 : upper + 1]
        torch.lerp(bias, bias_above, (scale - low) / (high - low), out=self.step.bias)
