"""Attention along the branches of token trees on a CPU: a node reads itself and what stands above it, nothing else.

Attention with a mask computes every pair of a row's nodes and leaves nearly all of them out, so that rows must be
short, and short rows repeat prefixes. Here a row is as long as a pass, and may go on with keys and values of an earlier
pass, whose nodes come first. A model computes so through the registry of attention functions of transformers; what it
takes for a mask are then the nodes' parents.
"""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from clada_neuro.models.registry import takes_trees
from clada_neuro.models.threads import shared_out

Array = npt.NDArray[Any]

_NAME = "clada_neuro_branches"
_COMPILED: dict[str, Any] = dict(
    nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy"
)


def follows_branches(model: PreTrainedModel) -> bool:
    """Return whether a model that takes trees can have its attention computed here: plain attention, on a CPU."""
    config = model.config.get_text_config()
    plain = config._attn_implementation == "sdpa" and "ALL_ATTENTION_FUNCTIONS" in vars(
        sys.modules[type(model).__module__]
    )
    return takes_trees(model) and plain and model.device.type == "cpu"


@contextmanager
def along_branches(model: PreTrainedModel) -> Iterator[None]:
    """Let a model that `follows_branches` take `places` for its attention mask meanwhile."""
    config = model.config.get_text_config()
    usual = config._attn_implementation
    ALL_ATTENTION_FUNCTIONS.register(_NAME, _attention)
    config._attn_implementation = _NAME
    try:
        yield
    finally:
        config._attn_implementation = usual


def read_by(model: PreTrainedModel, mask: Tensor) -> AbstractContextManager[None]:
    """Return the context in which a model takes what may be `places` or a mask."""
    return nullcontext() if mask.dim() < 4 or mask.is_floating_point() else along_branches(model)


def places(parents: Tensor) -> Tensor:
    """Return what stands for the mask: the place of every node's parent, of as many dimensions as a finished mask.

    Nodes of an earlier pass, whose keys and values are in the cache, are the first places.
    """
    return parents[:, None, None]


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Return attention (rows, seq, heads, dim) from queries (rows, heads, seq, dim); keys and values have earlier nodes, too."""
    rows, heads, seq, dim = query.shape
    kept = torch.promote_types(query.dtype, torch.float32)
    found = torch.empty(rows, seq, heads, dim, dtype=kept)
    # As the maps of attention wrote them: node by node.
    given = [part.to(kept).transpose(1, 2).contiguous().numpy() for part in (query, key, value)]
    parents = attention_mask[:, 0, 0].contiguous().numpy()
    scale = given[0].dtype.type(dim**-0.5 if scaling is None else scaling)
    shared_out(partial(_attend, *given, parents, scale, found.numpy()), rows * seq)
    return found.to(query.dtype), None


@njit(**_COMPILED)
def _attend(
    query: Array, key: Array, value: Array, parents: Array, scale: Any, found: Array, start: int, stop: int
) -> None:
    """Fill ``found`` for the nodes ``start`` to ``stop`` of all rows together; arrays are (rows, seq, heads, dim)."""
    seq, heads, dim = query.shape[1:]
    group, earlier = heads // key.shape[2], key.shape[1] - seq
    path, weights = np.empty(earlier + seq, np.int64), np.empty((group, earlier + seq), query.dtype)
    for node in range(start, stop):
        row, place = node // seq, earlier + node % seq
        size = 0
        while place >= 0:
            path[size] = place
            size += 1
            place = parents[row, place]
        asks, sums = query[row, node % seq], found[row, node % seq]
        sums[:] = 0
        for shared in range(key.shape[2]):
            first = shared * group  # of the heads that read the same keys and values
            for above in range(size):
                one = key[row, path[above], shared]
                for head in range(group):
                    ask, product = asks[first + head], scale * 0
                    for i in range(dim):
                        product += ask[i] * one[i]
                    weights[head, above] = product * scale
            for head in range(group):
                _soften(weights[head, :size])
            for above in range(size):
                one = value[row, path[above], shared]
                for head in range(group):
                    into, weight = sums[first + head], weights[head, above]
                    for i in range(dim):
                        into[i] += weight * one[i]


@njit(**_COMPILED)
def _soften(weights: Array) -> None:
    """Turn scores into shares, in place."""
    highest = weights.max()
    total = highest * 0
    for place in range(weights.shape[0]):
        weights[place] = np.exp(weights[place] - highest)
        total += weights[place]
    for place in range(weights.shape[0]):
        weights[place] /= total
