"""Weights in the order of the compiled step, packed once a model and kept for its next sequence.

A copy is kept while its model lives and its weights are as they were, of the last few models only, and not where it is
a large part of the memory that is left.
"""

import os
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import psutil
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.models.registry import ffn_layers
from clada_neuro.runtime.kernels.llama_step import LlamaStep

MOST = 2  # models
_PART_OF_FREE_MEMORY = 0.25
_SAMPLED = 8  # numbers of a weight that show changes behind PyTorch's back (``weight.data``)

_kept: WeakKeyDictionary[PreTrainedModel, tuple[Hashable, LlamaStep]] = WeakKeyDictionary()
if hasattr(os, "register_at_fork"):  # a child has the arrays, but not the threads
    os.register_at_fork(after_in_child=_kept.clear)


@contextmanager
def packed(model: PreTrainedModel, context: int) -> Iterator[LlamaStep]:
    """Yield the model's compiled step for sequences of ``context`` tokens; nobody else has it meanwhile.

    Raises
    ------
    ModelError
        If the step cannot run the model.
    """
    weights = _fingerprint(model)
    known, step = _kept.pop(model, (None, None))
    if step is None or known != weights:
        step = LlamaStep(model, context=context)
    step.reserve(model, context)
    try:
        yield step
    finally:
        step.use_neurons(ffn_layers(model))
        _keep(model, weights, step)


def _keep(model: PreTrainedModel, weights: Hashable, step: LlamaStep) -> None:
    """Put a step aside, last in line."""
    if step.nbytes > _PART_OF_FREE_MEMORY * psutil.virtual_memory().available:
        return
    _kept[model] = weights, step
    for oldest in list(_kept)[:-MOST]:
        _kept.pop(oldest, None)


def _fingerprint(model: PreTrainedModel) -> Hashable:
    """Return what changes with the weights: where they lie, how often they were written to, and some of them."""
    return tuple(
        (name, weight.data_ptr(), 0 if weight.is_inference() else weight._version, _sample(weight))
        for name, weight in model.named_parameters()
    )


def _sample(weight: Tensor) -> bytes:
    flat = weight.detach().reshape(-1)
    return bytes(flat[:: max(1, len(flat) // _SAMPLED)].float().numpy().tobytes())
