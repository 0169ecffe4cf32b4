"""Attention along the branches of token trees on a CPU: a node reads itself and what stands above it, nothing else.

Attention with a mask computes every pair of a row's nodes and leaves nearly all of them out, so that rows must be
short, and short rows repeat prefixes. Here a row is as long as a pass. A model computes so through the registry of
attention functions of transformers; what it takes for a mask are then the nodes' parents.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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

Array = npt.NDArray[Any]

_NAME = "clada_neuro_branches"
_COMPILED: dict[str, Any] = dict(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})


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
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        ALL_ATTENTION_FUNCTIONS.register(_NAME, partial(_attention, pool))
        config._attn_implementation = _NAME
        try:
            yield
        finally:
            config._attn_implementation = usual


def read_by(model: PreTrainedModel, mask: Tensor) -> AbstractContextManager[None]:
    """Return the context in which a model takes what may be `places` or a mask."""
    return nullcontext() if mask.dim() < 4 or mask.is_floating_point() else along_branches(model)


def places(parents: Tensor) -> Tensor:
    """Return what stands for the mask: the place of every node's parent, of as many dimensions as a finished mask."""
    return parents[:, None, None]


def _attention(
    pool: ThreadPoolExecutor,
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Return attention (rows, seq, heads, dim) from queries, keys and values of shape (rows, heads, seq, dim)."""
    rows, heads, seq, dim = query.shape
    kept = torch.promote_types(query.dtype, torch.float32)
    found = torch.empty(rows, seq, heads, dim, dtype=kept)
    given = [part.to(kept).contiguous().numpy() for part in (query, key, value)]
    parents = attention_mask[:, 0, 0].contiguous().numpy()
    scale = given[0].dtype.type(dim**-0.5 if scaling is None else scaling)
    threads = torch.get_num_threads()
    edges = [rows * seq * part // threads for part in range(threads + 1)]
    attend = partial(_attend, *given, parents, scale, found.numpy())
    others = [pool.submit(attend, *edges[part : part + 2]) for part in range(1, threads)]
    attend(*edges[:2])
    for other in others:
        other.result()
    return found.to(query.dtype), None


@njit(**_COMPILED)
def _attend(
    query: Array, key: Array, value: Array, parents: Array, scale: Any, found: Array, start: int, stop: int
) -> None:
    """Fill ``found`` for the nodes ``start`` to ``stop`` of all rows together."""
    heads, seq, dim = query.shape[1:]
    share = heads // key.shape[1]
    path, weights = np.empty(seq, np.int64), np.empty(seq, query.dtype)
    for node in range(start, stop):
        row, place = node // seq, node % seq
        size = 0
        while place >= 0:
            path[size] = place
            size += 1
            place = parents[row, place]
        for head in range(heads):
            asks, keys, values = query[row, head, path[0]], key[row, head // share], value[row, head // share]
            highest = weights[0]
            for above in range(size):
                one = keys[path[above]]
                product = scale * 0
                for i in range(dim):
                    product += asks[i] * one[i]
                weights[above] = product * scale
                highest = weights[0] if above == 0 else max(highest, weights[above])
            total = scale * 0
            for above in range(size):
                weights[above] = np.exp(weights[above] - highest)
                total += weights[above]
            sums = found[row, path[0], head]
            sums[:] = 0
            for above in range(size):
                weight, one = weights[above] / total, values[path[above]]
                for i in range(dim):
                    sums[i] += weight * one[i]
