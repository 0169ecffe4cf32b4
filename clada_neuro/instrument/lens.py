"""From the residual stream to its measures: what is predicted from it after each layer, and how it moves.

The measures are declared in `clada_neuro.measures.layers`.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from clada_neuro.instrument.information import ROWS_AT_ONCE, log_probabilities
from clada_neuro.measures.layers import LENS, MOVEMENT, TRAJECTORY
from clada_neuro.measures.measure import in_order


def movement(streams: dict[int, Tensor], layers: Sequence[int]) -> np.ndarray:
    """Return `MOVEMENT` from streams, each (rows, seq, hidden): (rows, measures, layers, seq)."""
    columns = []
    for layer in layers:
        here, below = (_real(streams[place]) for place in (layer, layer - 1))
        below = below.to(here.device)
        before = torch.cat([here[:, :1], here[:, :-1]], dim=1)
        found = {
            "displacement_below": 1 - torch.cosine_similarity(here, below, dim=-1),
            "norm_ratio_below": here.norm(dim=-1) / below.norm(dim=-1),
            "displacement_prev": 1 - torch.cosine_similarity(here, before, dim=-1),
            "trajectory_error": (here - _led_to(here)).norm(dim=-1) / here.norm(dim=-1),
        }
        for values in found.values():
            values[:, 0] = math.nan
        found["displacement_prev"][:, :2] = math.nan
        found["trajectory_error"][:, : TRAJECTORY + 1] = math.nan
        names = [one.name for one in MOVEMENT]
        columns.append(torch.stack(in_order(found, names), dim=1).cpu().double().numpy() + 0.0)  # no -0.0
    return np.stack(columns, axis=2)


def _led_to(states: Tensor) -> Tensor:
    """Return where the lines through the `TRAJECTORY` tokens before lead, (rows, seq, hidden); 0 where there are fewer."""
    times = np.arange(TRAJECTORY)
    line = np.vander(times, 2)
    weights = np.vander([TRAJECTORY], 2)[0] @ np.linalg.pinv(line)
    led, n = torch.zeros_like(states), max(states.shape[1] - TRAJECTORY, 0)
    for time, weight in zip(times, weights, strict=True):
        led[:, TRAJECTORY:] += float(weight) * states[:, time : time + n]
    return led


def lens(
    predict: Callable[[Tensor], Tensor],
    streams: dict[int, Tensor],
    layers: Sequence[int],
    last: int,
    targets: Tensor,
) -> np.ndarray:
    """Return `LENS` of some positions from the streams there, each (n, hidden): (measures, layers, n).

    Parameters
    ----------
    predict : callable
        From a stream to logits.
    layers : sequence of int
        Ascending; of each, the place below and the last are among the streams.
    targets : torch.Tensor of int, shape (n,)
        The tokens that came.
    """
    if not len(targets):
        return np.empty((len(LENS), len(layers), 0))
    known = {last: _Prediction(predict(streams[last]), targets)}
    columns = []
    for layer in layers:
        for place in (layer - 1, layer):
            if place not in known:
                known[place] = _Prediction(predict(streams[place]), targets)
        columns.append(known[layer].against(known[last], known[layer - 1]))
        known = {place: known[place] for place in (layer, last)}
    return torch.stack(columns, dim=1).cpu().double().numpy() + 0.0  # no -0.0


class _Prediction:
    """Log probabilities over the vocabulary, (n, vocabulary) in blocks of rows, and the rank of what came."""

    def __init__(self, logits: Tensor, targets: Tensor) -> None:
        self.log_p, ranks, nats = [], [], []
        came = targets.to(logits.device)[:, None]
        for some, token in zip(logits.split(ROWS_AT_ONCE), came.split(ROWS_AT_ONCE), strict=True):
            log_p = log_probabilities(some)
            ranks.append((some > some.gather(1, token)).sum(dim=1) + 1)
            nats.append(-log_p.gather(1, token)[:, 0])
            self.log_p.append(log_p)
        self.rank, self.nats = torch.cat(ranks), torch.cat(nats).clamp(min=0)

    def against(self, final: "_Prediction", below: "_Prediction") -> Tensor:
        """Return the measures beside the predictions of the last layer and of that below, (`LENS`, n)."""
        blocks = []
        for here, last, lower in zip(self.log_p, final.log_p, below.log_p, strict=True):
            p = here.exp()
            blocks.append(
                torch.stack(
                    [
                        -(p * here).sum(dim=1),
                        (here - last).mul_(p).sum(dim=1).clamp(min=0),
                        (here - lower).mul_(p).sum(dim=1).clamp(min=0),
                    ]
                )
            )
        entropy, from_last, from_below = torch.cat(blocks, dim=1)
        bits = {
            "lens_surprisal_bits": self.nats,
            "lens_entropy_bits": entropy,
            "lens_kl_last_bits": from_last,
            "lens_kl_below_bits": from_below,
        }
        found = {name: nats / math.log(2) for name, nats in bits.items()}
        found["lens_rank"] = self.rank.to(self.nats.dtype)
        return torch.stack(in_order(found, [one.name for one in LENS]))


def _real(states: Tensor) -> Tensor:
    """Return at least float32."""
    return states.to(torch.promote_types(states.dtype, torch.float32))
