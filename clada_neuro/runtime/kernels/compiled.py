"""One sequence under a policy in the compiled token step: the fast counterpart of `clada_neuro.runtime.attach`.

The policy object is the same and so is its state; what it decides from prefix and load is handed to the step as
cut-offs (once a sequence) and a threshold scale (once a token).
"""

from bisect import bisect_left
from dataclasses import replace

import torch
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.errors import ModelError
from clada_neuro.models.registry import ffn_layers
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.kernels.llama_step import LlamaStep
from clada_neuro.runtime.policy import HIDDEN, INPUT, NEURON, Policy, State, reads
from clada_neuro.runtime.thresholds import ThresholdPolicy

_FINITE = 1e30  # larger than any activation; an infinite cut-off would be undefined at scale 0


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
        self._reads = [reads(ffn, policy.sites) for ffn in self._layers]
        self._scale = -1.0
        self._stepped = False  # whether the last logits are the step's

    def prefill(self, ids: Tensor) -> Tensor:
        """Process a prompt ``(tokens,)`` densely; return the next token's logits ``(vocabulary,)``."""
        with torch.no_grad(), attach(self.model, self.policy) as session:
            output = self.model(ids[None], use_cache=True, logits_to_keep=1)
        self.state = session.state
        self.step.load_cache(output.past_key_values)
        self.step.use_neurons(self._layers, self._neurons())
        self.step.use_cutoffs(self._cutoffs(INPUT), self._cutoffs(HIDDEN))
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
            surprisal, entropy = self.step.surprisal_and_entropy(token)
            self.policy.take_in(self.state, torch.tensor([surprisal]), torch.tensor([entropy]))
        else:
            self.policy.observe(self.state, self._logits[None], torch.tensor([token]))
        scale = float(self.state.scale)
        if scale != self._scale:
            self._scale = scale
            self.step.use_bias(self._bias())

    def advance(self, token: int) -> Tensor:
        """Process the observed token: second half of `drawn`."""
        self._logits, self._stepped = self.step(token, self._scale), True
        if self._scale == 0 and self.policy.uses_prefix:
            self._refresh()
        return self._logits

    def ffn_sparsity(self) -> Tensor:
        """Return the share of each block's weight bytes that the last token did not read, ``(layers,)``."""
        neurons = self.step.neuron_mask.sum(-1)
        kept = {INPUT: self.step.input_mask.sum(-1), HIDDEN: neurons, NEURON: neurons}
        return torch.stack(
            [
                block.sparsity({site: kept[site][layer] for site in block.row})
                for layer, block in enumerate(self._reads)
            ]
        )

    def _refresh(self) -> None:
        """Take the last token, computed densely, into the prefix statistics."""
        for layer, a in enumerate(self.step.activity):
            self.state.prefix.update(layer, a[None, None], torch.ones(1, 1, dtype=torch.bool))
        self.step.use_cutoffs(self._cutoffs(INPUT), self._cutoffs(HIDDEN))

    def _neurons(self) -> Tensor | None:
        """Return the neurons ``(layers, kept)`` of a policy that decides them once a sequence."""
        if NEURON not in self.policy.sites:
            return None
        values = torch.zeros(1, 1, self._layers[0].intermediate_size)
        masks = [self.policy.select(ffn.layer, NEURON, values, self.state)[0, 0] for ffn in self._layers]
        return torch.stack([mask.nonzero().squeeze(1) for mask in masks])

    def _cutoffs(self, site: str) -> Tensor | None:
        """Return ``(layers, rows)``: what |value| has to reach at scale 1."""
        if site not in self.policy.sites:
            return None
        assert isinstance(self.policy, ThresholdPolicy)
        unit = replace(self.state, scale=torch.ones(1, 1))
        return torch.stack(
            [self._cutoff(self.policy, layer, site, unit) for layer in range(len(self._reads))]
        )

    def _cutoff(self, policy: ThresholdPolicy, layer: int, site: str, unit: State) -> Tensor:
        threshold = policy.threshold(layer, site, unit).reshape(-1)
        if site in policy.weights:
            threshold = threshold / policy.weights[site][layer]
        rows = self.step.input_mask.shape[1] if site == INPUT else self.step.neuron_mask.shape[1]
        return threshold.clamp(max=_FINITE).expand(rows)

    def _bias(self) -> Tensor | None:
        mean = self.policy.mean_of_dropped if isinstance(self.policy, ThresholdPolicy) else None
        if mean is None:
            return None
        # `Compensation` for all layers in one operation on plain numbers: small tensors cost more than the lerp.
        points = mean.scales.tolist()
        scale = min(self._scale, points[-1])
        upper = min(max(bisect_left(points, scale), 1), len(points) - 1)
        low, high = points[upper - 1], points[upper]
        return torch.lerp(mean.bias[upper - 1], mean.bias[upper], (scale - low) / (high - low))


def check_policy(policy: Policy) -> None:
    """Raise `ModelError` unless the compiled step can follow the policy."""
    if policy.sites in ((), (NEURON,)):
        return
    if not isinstance(policy, ThresholdPolicy) or not set(policy.sites) <= {INPUT, HIDDEN}:
        raise ModelError(
            f"policy '{policy.name}' masks {', '.join(policy.sites)}; the compiled step follows thresholds "
            f"at {INPUT} and {HIDDEN}, and {NEURON} sets; use the PyTorch path"
        )
