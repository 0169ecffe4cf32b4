"""Draw tokens from logits, in numpy: an operation of PyTorch over a vocabulary takes longer, and starts threads."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clada_neuro.errors import ModelError


def likeliest(logits: Tensor) -> Tensor:
    """Return the likeliest tokens ``(batch,)`` of ``logits (batch, vocabulary)``."""
    if logits.device.type != "cpu":
        return logits.argmax(-1)
    return torch.from_numpy(logits.float().numpy().argmax(-1))


class Sampler:
    """Draw a token of every prompt, each from its own stream of random numbers.

    Parameters
    ----------
    temperature : float
        0 takes the likeliest token.
    top_p : float
        Share of probability to sample from: the likeliest tokens that together reach it.
    seed, prompts : int

    Raises
    ------
    ModelError
        For a negative temperature or a ``top_p`` outside (0, 1].
    """

    def __init__(self, temperature: float, top_p: float, seed: int, prompts: int) -> None:
        if temperature < 0 or not 0 < top_p <= 1:
            raise ModelError(
                f"temperature {temperature} and top_p {top_p} given; at least 0 and in (0, 1] expected"
            )
        self.temperature, self.top_p = temperature, top_p
        self._random = [np.random.default_rng((seed + row) % 2**64) for row in range(prompts)]

    def __call__(self, logits: Tensor, prompts: Sequence[int]) -> Tensor:
        """Return tokens ``(batch,)`` from temperature-1 ``logits (batch, vocabulary)`` of these prompts."""
        if self.temperature == 0:
            return likeliest(logits)
        drawn = [
            self._draw(own, self._random[prompt])
            for own, prompt in zip(logits.float().cpu().numpy(), prompts, strict=True)
        ]
        return torch.tensor(drawn, device=logits.device)

    def _draw(self, logits: NDArray[np.float32], random: np.random.Generator) -> int:
        """Return the token whose exponential time, at the rate of its probability, is over first."""
        p = np.exp((logits - logits.max()) / self.temperature)
        if self.top_p < 1:
            falling = np.sort(p)[::-1]
            before = np.cumsum(falling) - falling
            p[p < falling[np.searchsorted(before, self.top_p * p.sum()) - 1]] = 0
        times = random.standard_exponential(len(p), dtype=np.float32)
        return int(np.argmax(p / np.maximum(times, np.finfo(np.float32).tiny)))
