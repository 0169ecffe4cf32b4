"""CHESS, channel-wise thresholding (He et al. 2024, arXiv 2409.01366).

A neuron is kept when |g_i|·E|u_i| reaches a layer's threshold, the quantile at the wanted sparsity; E|u_i| is the mean
magnitude of what the up map gives for it on calibration texts, so that every neuron has a threshold of its own on its gate. Rule and
tables are those of the authors' code. W_g is read whole, as by CATS, of which this is the weighted form; plain blocks have no up map, and
it is CATS there.

Chosen here: E|u| and thresholds are over all tokens after the dense prefix, with earlier blocks sparse for thresholds, as for every
policy here (the code takes the mean of each text's quantile in the dense model). The paper's selective sparsification of
queries' input and the output map of attention is not there: attention stays dense.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from clada_neuro.models.ffn import FFN
from clada_neuro.models.watching import watching
from clada_neuro.passes.fitting import Passes
from clada_neuro.passes.measure import DENSE_PREFIX
from clada_neuro.passes.pieces import Piece
from clada_neuro.policies.cats import thresholds_at
from clada_neuro.policies.declaration import Declaration, PolicyRequest
from clada_neuro.runtime.policy import GATE
from clada_neuro.runtime.thresholds import ThresholdPolicy

_MEANS = "chess_up"


@dataclass(frozen=True, eq=False)
class Chess(ThresholdPolicy):
    """``thresholds["gate"]`` are quantiles of |g|·E|u|, ``weights["gate"]`` is E|u| ``(layers, neurons)``."""

    name: ClassVar[str] = "chess"
    sites: ClassVar[tuple[str, ...]] = (GATE,)


def up_means(passes: Passes) -> Tensor:
    """Return E|u| of every neuron in a dense pass, dense prefix left out, ``(layers, neurons)``; 1 in plain blocks."""
    found = torch.ones(len(passes.layers), passes.layers[0].intermediate_size, device=passes.tokens.device)

    def note(ffn: FFN, x: Tensor) -> None:
        if ffn.gated:
            x = x.reshape(*passes.tokens.shape, -1)[:, DENSE_PREFIX:].flatten(0, 1)
            found[ffn.layer] = ffn.up(ffn.up_map.forward(x)).float().abs().mean(0)

    with watching(passes.layers, x=note), torch.no_grad():
        passes.model(passes.tokens, logits_to_keep=1, use_cache=False)
    passes.tick(passes.tokens.numel())
    return found


def _fit(passes: Passes) -> Piece:
    _, found = passes.piece("chess-up", lambda: ({}, {_MEANS: up_means(passes)}))
    weights = {GATE: found[_MEANS].to(passes.tokens.device)}
    tables = passes.at_each_sparsity("chess", partial(thresholds_at, passes, weights=weights))
    return {}, {**tables, **found}


def _make(asked: PolicyRequest) -> Chess:
    return Chess(asked.fitted("chess", GATE), {GATE: asked.calibration.tensors[_MEANS]})


DECLARED = [Declaration("chess", 62, _make, _fit)]
