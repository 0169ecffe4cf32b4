"""Cognitive load: how surprising a token was and how open its continuation had been.

Before token t is processed as input, its own surprisal s_t = −log₂ p(t) and the entropy H_t of the distribution it was
drawn from are known; nothing later is used. Load is λ_t = α·ŝ_t + (1 − α)·Ĥ_t, with ŝ and Ĥ standardised by calibration
statistics that were gathered under the policy. An event is a load above the 70th percentile of the 10 loads before it
(the setting of the method's published code); there is none before the window is full.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

WINDOW = 10
PERCENTILE = 0.7


def surprisal_and_entropy(logits: Tensor, token: Tensor) -> tuple[Tensor, Tensor]:
    """Return surprisal of ``token (…,)`` and entropy, both in bits, from ``logits (…, vocabulary)``."""
    log_p = logits.float().log_softmax(-1)
    surprisal = -log_p.gather(-1, token[..., None]).squeeze(-1)
    # The lower bound keeps 0·log 0 at 0; e to its power is 0 in float32.
    entropy = -torch.linalg.vecdot(log_p.exp(), log_p.clamp_min(-1e4))
    return surprisal / math.log(2), entropy / math.log(2)


@dataclass(frozen=True)
class LoadSignal:
    """Standardised load λ = α·ŝ + (1 − α)·Ĥ; means and standard deviations in bits."""

    alpha: float = 0.5
    surprisal_mean: float = 0.0
    surprisal_sd: float = 1.0
    entropy_mean: float = 0.0
    entropy_sd: float = 1.0

    def __call__(self, surprisal: Tensor, entropy: Tensor) -> Tensor:
        """Return λ of the same shape."""
        s = (surprisal - self.surprisal_mean) / self.surprisal_sd
        h = (entropy - self.entropy_mean) / self.entropy_sd
        return self.alpha * s + (1 - self.alpha) * h


class LoadHistory:
    """The last loads of each sequence."""

    def __init__(self, batch: int, device: torch.device | str = "cpu") -> None:
        self._values = torch.zeros((batch, WINDOW), device=device)
        self._seen = 0

    def push(self, load: Tensor) -> Tensor:
        """Return whether ``load (batch,)`` is an event against the window before it, then add it."""
        event = (load > self._cut()) & (self._seen >= WINDOW)
        self._values = torch.cat([self._values[:, 1:], load[:, None].float()], dim=1)
        self._seen += 1
        return event

    def _cut(self) -> Tensor:
        """Return the percentile of each window as `torch.quantile` does, in fewer operations."""
        below, share = divmod(PERCENTILE * (WINDOW - 1), 1)
        ordered = self._values.sort(dim=1).values
        return torch.lerp(ordered[:, int(below)], ordered[:, int(below) + 1], share)

    def reorder(self, index: Tensor) -> None:
        """Keep the sequences of ``index``, in that order."""
        self._values = self._values[index]
