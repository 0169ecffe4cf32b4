"""The weights of a Llama-like model in the order in which the compiled token step reads them."""

import ctypes
import sys
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from clada_neuro.errors import ModelError
from clada_neuro.models.ffn import FFN
from clada_neuro.models.ggml import BLOCK, blocks_of, check_unchanged, kind_of_blocks, stored
from clada_neuro.models.registry import ffn_layers
from clada_neuro.runtime.kernels.cpu import ALIGNMENT, Array, aligned, share
from clada_neuro.runtime.kernels.limits import common, require
from clada_neuro.runtime.kernels.stored import ROWS, TURNED, kind_stored, turned, whole, width
from clada_neuro.runtime.policy import NEURON

MODEL_TYPES = ("llama", "mistral")
_WHOLE = (
    "a policy that keeps a set of neurons for a sequence copies their weights, and blocks of 32 cannot be taken apart; "
    "use float32 or bfloat16"
)
_PAGE = 1 << 21
_COLLAPSE = 25  # as Linux calls it from 6.1 on; earlier ones refuse, and pages stay as they are


class LlamaWeights(NamedTuple):
    """Everything fixed. L layers, H hidden, I neurons (padded), D head size, T context, N threads, V vocabulary.

    Of a model in blocks of GGUF, see `clada_neuro.runtime.kernels.stored` for what stands along inputs.
    """

    embedding: Array  # (V, H)
    head: Array  # (V, H), often the embedding itself
    qkv: Array  # (L, (q heads + 2 kv heads)·D, H)
    out: Array  # (L, H, q heads·D)
    qkv_rows: Array  # (N, L, H/N, (q heads + 2 kv heads)·D): by input, each thread's own
    out_rows: Array  # (N, L, q heads·D/N, H): likewise; both are of no thread where nothing is skipped
    unit: int  # inputs that threads do not share out: 32 in blocks
    gate_up: Array  # (N, L, H, 2·I/N): by input, each thread's neurons side by side
    down: Array  # (N, L, I/N, H): by neuron
    norms: Array  # (2·L + 1, H): before attention, before the block, …, final
    rotation: Array  # (T, 2, D/2): cosine and sine
    epsilon: float


def check(model: PreTrainedModel) -> None:
    """Raise `ModelError` unless the step can run the model."""
    kernels = "the compiled steps"
    require(kernels, {"model_type": (model.config.model_type, MODEL_TYPES)})
    maps = [*(part for layer in model.model.layers for part in _projections(layer.self_attn)), model.lm_head]
    all_maps = [*maps, *(part for ffn in ffn_layers(model) for part in (*ffn.inputs, ffn.down))]
    require(
        kernels,
        {
            **common(model),
            "dtype": (model.dtype, (torch.float32, torch.bfloat16)),
            "device": (model.device.type, ("cpu",)),
            "plain linear maps": (all(type(part) is nn.Linear for part in maps), (True,)),
            "biases": (any(getattr(part, "bias", None) is not None for part in all_maps), (False,)),
        },
    )


def check_sites(model: PreTrainedModel, sites: tuple[str, ...]) -> None:
    """Raise `ModelError` if a policy keeps a set of neurons for a sequence and weights are blocks of 32 of them."""
    if NEURON in sites and blocks_of(model.lm_head) is not None:
        raise ModelError(_WHOLE)


def _projections(attention: nn.Module) -> tuple[Any, ...]:
    return attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj


def pack(model: PreTrainedModel, context: int, threads: int) -> LlamaWeights:
    """Copy the weights of a model that passed `check`; embedding and head stay where they are.

    Raises
    ------
    ModelError
        If weights were changed after they were quantised.
    """
    check_unchanged(model)
    base = model.model
    attention = [layer.self_attn for layer in base.layers]
    use_large_pages(stored(model.lm_head))
    gate_up, down = pack_blocks(ffn_layers(model), threads)
    qkv = _stack([_projections(a)[:3] for a in attention])
    kind = kind_stored(qkv)
    none = np.zeros((0, len(attention), 0, 0), TURNED[kind] if kind else qkv.dtype)
    norms = [
        norm for layer in base.layers for norm in (layer.input_layernorm, layer.post_attention_layernorm)
    ]
    return LlamaWeights(
        embedding=_read_whole(base.embed_tokens),
        head=_read_whole(model.lm_head),
        qkv=qkv,
        out=_stack([(a.o_proj,) for a in attention]),
        qkv_rows=none,
        out_rows=none,
        unit=BLOCK if kind else 1,
        gate_up=gate_up,
        down=down,
        norms=np.stack([norm.weight.float().numpy() for norm in (*norms, base.norm)]),
        rotation=rotation(model, context),
        epsilon=model.config.rms_norm_eps,
    )


def by_input(maps: Array, threads: int) -> Array:
    """Return maps ``(layers, outputs, inputs)`` by input, as ``qkv_rows`` and ``out_rows`` have them."""
    layers, outputs, columns = maps.shape  # of blocks, a column for 32 inputs
    kind = kind_stored(maps)
    own = [share(columns, thread, threads) for thread in range(threads)]
    most = max(stop - start for start, stop in own)
    whole_ones = BLOCK if kind else ALIGNMENT // maps.itemsize
    wide = -(-outputs // whole_ones) * whole_ones
    rows = (
        _turned_zeros((threads, layers), most, wide, kind)
        if kind
        else aligned((threads, layers, most, wide), maps.dtype)
    )
    for thread, (start, stop) in enumerate(own):
        part = np.zeros((wide, stop - start), maps.dtype)
        for layer in range(layers if stop > start else 0):  # fewer blocks than threads leave one without
            part[:outputs] = maps[layer, :, start:stop]
            turned_part = turned(part.view(np.uint8).reshape(wide, -1), kind) if kind else part.T
            rows[thread, layer, : len(turned_part)] = turned_part
    return rows


def _turned_zeros(parts: tuple[int, ...], blocks: int, outputs: int, kind: str) -> Array:
    """Return room for parts of turned blocks, of ``blocks`` times 32 inputs each."""
    shape = (*parts, blocks * ROWS[kind], width(kind, outputs))
    return aligned(shape, np.uint8).view(TURNED[kind])


def pack_blocks(layers: list[FFN], threads: int, neurons: Tensor | None = None) -> tuple[Array, Array]:
    """Return ``gate_up`` and ``down`` of all neurons, or of those listed in ``neurons (layers, kept)`` only.

    Raises
    ------
    ModelError
        If neurons are listed and the weights are blocks of 32 of them.
    """
    if blocks_of(layers[0].down) is not None:
        if neurons is not None:
            raise ModelError(_WHOLE)
        return _pack_turned(layers, threads, kind_of_blocks(layers[0].down))
    count = layers[0].intermediate_size if neurons is None else neurons.shape[1]
    own = -(-count // (16 * threads)) * 16  # neurons a thread, in whole cache lines
    hidden, dtype = layers[0].hidden_size, layers[0].down_weight.dtype
    gate_up = _zeros((threads, len(layers), hidden, 2 * own), dtype)
    down = _zeros((threads, len(layers), own, hidden), dtype)
    for index, ffn in enumerate(layers):
        chosen = slice(None) if neurons is None else neurons[index]
        for thread, rows in enumerate(ffn.down_weight[:, chosen].t().split(own)):  # type: ignore[index]
            down[thread, index, : len(rows)] = rows
        for part, linear in enumerate(ffn.inputs):
            for thread, rows in enumerate(linear.weight[chosen].split(own)):  # type: ignore[index, operator]
                start = part * own
                gate_up[thread, index, :, start : start + len(rows)] = rows.t()
    return _stored(gate_up), _stored(down)


def _pack_turned(layers: list[FFN], threads: int, kind: str) -> tuple[Array, Array]:
    """Return ``gate_up`` and ``down`` as turned blocks; those that fill the last thread's part are zeros."""
    count, hidden = layers[0].intermediate_size, layers[0].hidden_size
    own = -(-count // (BLOCK * threads)) * BLOCK
    parts = (threads, len(layers))
    gate_up = _turned_zeros(parts, hidden // BLOCK, 2 * own, kind)
    down = _turned_zeros(parts, own // BLOCK, hidden, kind)
    for index, ffn in enumerate(layers):
        gate, up = (stored(part).numpy() for part in ffn.inputs)
        by_neuron = turned(stored(ffn.down).numpy(), kind)
        for thread in range(threads):
            rows = [part[thread * own : (thread + 1) * own] for part in (gate, up)]
            both = np.zeros((2 * own, gate.shape[1]), np.uint8)
            both[: len(rows[0])], both[own : own + len(rows[1])] = rows
            gate_up[thread, index] = turned(both, kind)
            size = down.shape[2]
            part_of_down = by_neuron[thread * size : (thread + 1) * size]
            down[thread, index, : len(part_of_down)] = part_of_down
    return gate_up, down


def _stack(maps: list[tuple[nn.Module, ...]]) -> Array:
    """Return maps one under another, ``(layers, outputs, …)``."""
    matrices = [torch.cat([stored(part) for part in parts]) for parts in maps]
    stacked = _zeros((len(matrices), *matrices[0].shape), matrices[0].dtype)
    for place, matrix in zip(stacked, matrices, strict=True):
        place.copy_(matrix)
    first = maps[0][0]
    return _stored(stacked) if blocks_of(first) is None else whole(_stored(stacked), kind_of_blocks(first))


def _read_whole(part: nn.Module) -> Array:
    """Return what is stored of a matrix that is read whole, in place."""
    found = _stored(stored(part))
    return found if blocks_of(part) is None else whole(found, kind_of_blocks(part))


def _zeros(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return an array on cache lines as a tensor: PyTorch transposes faster than numpy and knows bfloat16."""
    raw = aligned((*shape[:-1], shape[-1] * dtype.itemsize), np.uint8)
    return torch.from_numpy(raw).view(dtype)


def _stored(weight: Tensor) -> Array:
    """Return a weight in place as numpy, bfloat16 as its bits."""
    weight = weight.detach()
    return weight.view(torch.uint16).numpy() if weight.dtype == torch.bfloat16 else weight.numpy()


def rotation(model: PreTrainedModel, context: int) -> Array:
    """Return cosine and sine of the angles of every position, ``(context, 2, D/2)``."""
    rotary = model.model.rotary_emb
    angles = torch.arange(context).float()[:, None] * rotary.inv_freq.float()
    return (torch.stack([angles.cos(), angles.sin()], dim=1) * rotary.attention_scaling).numpy()


def use_large_pages(weight: Tensor) -> None:
    """Move a contiguous weight to large pages, where it is: neither its address nor a number changes.

    Weights that every token reads from end to end cost a look-up less for each few kilobytes.
    """
    if not sys.platform.startswith("linux"):
        return
    start = -(-weight.data_ptr() // _PAGE) * _PAGE
    size = (weight.data_ptr() + weight.nbytes) // _PAGE * _PAGE - start
    if size > 0:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _COLLAPSE)
