"""CLADA: Cognitive-Load-Aware Dynamic Activation.

From the paper (arXiv 2502.19078): sparsity is set on two levels. *Globally*, statistics of the sequence prefix say
which neurons matter; *locally*, surprisal and entropy say how much is computed for a token. Thresholds are
hierarchical: a baseline from offline, error-controlled optimisation at 40 % sparsity or more, adjusted online.

The paper's code cannot run and its text leaves the rule open, so the rest is our choice:

* Two sites. Input j of x is kept where |x_j|·w_j ≥ τ, one mask for gate and up; neuron i is kept where |a_i|·w_i ≥ τ.
  The weights w are the root mean square of the loss gradient at x_j and a_i (calibrated once), so that the score
  estimates what a row changes in the prediction; WINA's norms of weight columns are their stand-in.
* What is dropped is replaced by its calibrated mean, a bias for each layer, interpolated over the threshold scale.
* Global: neuron thresholds are τ·exp(−γ·z_i), z_i the standardised rank of GRIFFIN's score over the dense prefix,
  averaged with a calibrated prior as in GLASS.
* Local: all thresholds scale by exp(−κ·λ_t + o). λ_t is the load of token t, known before t is processed; the offset
  o makes mean `ffn_sparsity` equal its target in the policy's own closed loop.
* Reanalysis: an *event* (load above its rolling 70th percentile) is always recorded. The *action*, computing that
  token densely and refreshing the prefix statistics from it, has its own calibrated load limit.

γ, κ and the rate of actions are calibrated at equal cost and may be zero; the calibration's header records what was
found. The prompt and the start token, an attention sink, are always dense.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from clada_neuro.runtime.cognitive_load import Bits, LoadSignal, surprisal_and_entropy
from clada_neuro.runtime.policy import HIDDEN, INPUT, State
from clada_neuro.runtime.thresholds import ThresholdPolicy


@dataclass(frozen=True, eq=False)
class Clada(ThresholdPolicy):
    """The policy; `policies.artifact.Calibration` builds it.

    Attributes
    ----------
    gamma : float
        Strength of the prefix term.
    prior : Tensor or None
        Neuron scores on any text, ``(layers, intermediate)``.
    kappa : float
        Strength of load on the threshold scale.
    signal : LoadSignal
    reanalysis_load : float
        Load above which a token is computed densely; infinite for never.
    """

    name: ClassVar[str] = "clada"
    sites: ClassVar[tuple[str, ...]] = (INPUT, HIDDEN)

    gamma: float = 0.0
    prior: Tensor | None = None
    kappa: float = 0.0
    signal: LoadSignal = field(default_factory=LoadSignal)
    reanalysis_load: float = math.inf

    @property
    def uses_prefix(self) -> bool:
        """Whether γ is not zero."""
        return self.gamma != 0

    @property
    def sequential(self) -> bool:
        """Whether load decides anything."""
        return self.kappa != 0 or math.isfinite(self.reanalysis_load)

    def threshold(self, layer: int, site: str, state: State) -> Tensor:
        """Return τ·s_t, for neurons times exp(−γ·z_i)."""
        threshold = super().threshold(layer, site, state)
        if site == HIDDEN and self.uses_prefix:
            threshold = threshold * torch.exp(-self.gamma * self.rank(layer, state))[:, None]
        return threshold

    def rank(self, layer: int, state: State) -> Tensor:
        """Return z ``(batch, intermediate)`` of the sequences' own prefixes."""
        return state.prefix.standardized_rank(layer, None if self.prior is None else self.prior[layer])

    def load(self, surprisal: Bits, entropy: Bits, state: State) -> Bits | Tensor:
        """Return λ ``(batch,)`` of the drawn tokens; of one token a number may come from numbers."""
        return self.signal(surprisal, entropy)

    def acts(self, load: Tensor, state: State) -> Tensor:
        """Return which tokens are computed densely."""
        return load > self.reanalysis_load

    def scale(self, load: Tensor, acts: Tensor) -> Tensor:
        """Return the threshold scale ``(batch,)`` at some load, 0 for the tokens that are computed densely."""
        return (self.base_scale * torch.exp(-self.kappa * load)).masked_fill(acts, 0.0)

    def observe(self, state: State, logits: Tensor, token: Tensor) -> None:
        """Turn the drawn token's surprisal and entropy into load, action and threshold scale."""
        self.take_in(state, *surprisal_and_entropy(logits, token))

    def take_in(self, state: State, surprisal: Bits, entropy: Bits) -> None:
        """Do so from surprisal and entropy in bits, for engines that compute them on the way.

        ``(batch,)``, or numbers for a batch of one: between two tokens of a small model a tensor is a long way.
        """
        state.step = state.step + 1
        load = self.load(surprisal, entropy, state)
        state.load = load if isinstance(load, Tensor) else torch.tensor([load])
        state.history.push(state.load)
        state.action = self.acts(state.load, state)
        state.scale = self.scale(state.load, state.action)[:, None]
