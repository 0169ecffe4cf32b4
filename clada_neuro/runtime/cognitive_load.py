"""Cognitive load: how surprising a token was and how open its continuation had been.

Before token t is processed as input, its own surprisal s_t = −log₂ p(t) and the entropy H_t of the distribution it was
drawn from are known; nothing later is used. Load is λ_t = α·ŝ_t + (1 − α)·Ĥ_t, with ŝ and Ĥ standardised by calibration
statistics that were gathered under the policy. An event is a load above the 70th percentile of the 10 loads before it
(the setting of the method's published code); there is none before the window is full.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

WINDOW = 10
PERCENTILE = 0.7
Bits = TypeVar("Bits", float, Tensor)


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

    def __call__(self, surprisal: Bits, entropy: Bits) -> Bits:
        """Return λ, of the same shape."""
        s = (surprisal - self.surprisal_mean) / self.surprisal_sd
        h = (entropy - self.entropy_mean) / self.entropy_sd
        return self.alpha * s + (1 - self.alpha) * h


class LoadHistory:
    """The loads of each sequence, as many as say whether the last one is an event."""

    def __init__(self) -> None:
        self._loads: deque[Tensor] = deque(maxlen=WINDOW + 1)

    def push(self, load: Tensor) -> None:
        """Add ``load (batch,)``."""
        self._loads.append(load)

    def event(self) -> Tensor | None:
        """Return whether the last load is above the percentile of the window before it, ``(batch,)``."""
        if not self._loads:
            return None
        *before, last = self._loads
        if len(before) < WINDOW:
            return torch.zeros_like(last, dtype=torch.bool)
        # As `torch.quantile` does, at half its cost between two decoded tokens.
        below, share = divmod(PERCENTILE * (WINDOW - 1), 1)
        ordered = torch.stack(before).sort(dim=0).values
        return last > torch.lerp(ordered[int(below)], ordered[int(below) + 1], share)

    def reorder(self, index: Tensor) -> None:
        """Keep the sequences of ``index``, in that order."""
        self._loads = deque((load[index] for load in self._loads), maxlen=WINDOW + 1)
