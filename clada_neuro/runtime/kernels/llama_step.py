"""One token of a Llama-like model in one compiled function, shared by all threads.

Each thread runs `_token` over its share of heads, neurons and output rows and waits for the others four times a layer.
Attention, norms and logits are dense. The feed-forward block reads a row only where |value| ≥ scale·cutoff:

    kept inputs j:   [g; u] += x_j · [W_g; W_u][:, j]        (a thread holds both columns of its own neurons)
    kept neurons i:  y += a_i · W_d[:, i],  a = silu(g) ⊙ u  (partial sums a thread, added after the meeting)

Cut-offs are fixed for a sequence; the scale may change with every token. Cut-offs of 0 keep every row.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from numba import njit
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.errors import ModelError
from clada_neuro.models.ffn import FFN
from clada_neuro.runtime.kernels.cpu import (
    COMPILED,
    Array,
    aligned,
    exponential,
    keep,
    meet,
    moments,
    project,
    share,
)
from clada_neuro.runtime.kernels.llama_weights import LlamaWeights, check, pack, pack_blocks, rotation
from clada_neuro.runtime.kernels.rows import add_kept, look_up, multiply

_NEURONS_A_THREAD = 256  # fewer are computed faster than waited for
_LOG_2 = math.log(2)


class RowCutoffs(NamedTuple):
    """What a policy decides for a sequence."""

    inputs: Array  # (L, H)
    neurons: Array  # (L, I)


class Work(NamedTuple):
    """What changes from token to token."""

    keys: Array  # (L, kv heads, T, D), rotated
    values: Array  # (L, kv heads, T, D)
    residual: Array  # (N, H): a copy a thread
    normed: Array  # (N, H)
    qkv: Array  # ((q heads + 2 kv heads)·D,)
    scores: Array  # (N, T)
    mixed: Array  # (q heads·D,)
    attended: Array  # (H,)
    hidden: Array  # (N, 2·I/N)
    partial: Array  # (N, H)
    kept: Array  # (N, max(H, I/N))
    bias: Array  # (L, H): stands in for dropped rows
    input_mask: Array  # (L, H)
    neuron_mask: Array  # (L, I)
    activity: Array  # (L, I): a
    logits: Array  # (V,)
    counter: Array  # (8,): one cache line


@njit(**COMPILED)
def _normalize(x: Array, residual: Array, weight: Array, epsilon: float) -> None:
    """Set x to the residual's RMS norm."""
    square = np.float32(0)
    for i in range(residual.shape[0]):
        square += residual[i] * residual[i]
    factor = np.float32(1) / np.sqrt(square / np.float32(residual.shape[0]) + np.float32(epsilon))
    for i in range(residual.shape[0]):
        x[i] = residual[i] * factor * weight[i]


@njit(**COMPILED)
def _rotate(head: Array, rotation: Array) -> None:
    """Turn a head's pairs (i, i + D/2) by the angles of a position."""
    half = head.shape[0] // 2
    for i in range(half):
        low, high = head[i], head[half + i]
        head[i] = low * rotation[0, i] - high * rotation[1, i]
        head[half + i] = high * rotation[0, i] + low * rotation[1, i]


@njit(**COMPILED)
def _store_heads(layer: int, position: int, start: int, stop: int, weights: LlamaWeights, work: Work) -> None:
    """Rotate queries and keys of heads start to stop; put keys and values into the cache."""
    groups, size = work.keys.shape[1], work.keys.shape[3]
    queries = work.mixed.shape[0] // size
    for head in range(start, stop):
        vector = work.qkv[head * size : (head + 1) * size]
        if head < queries + groups:
            _rotate(vector, weights.rotation[position])
        if head >= queries + groups:
            work.values[layer, head - queries - groups, position] = vector
        elif head >= queries:
            work.keys[layer, head - queries, position] = vector


@njit(**COMPILED)
def _attend(head: int, layer: int, position: int, scores: Array, work: Work) -> None:
    """Set a query head's part of ``mixed`` to the values weighted by softmax(q·k / √D)."""
    groups, size = work.keys.shape[1], work.keys.shape[3]
    group = head // (work.mixed.shape[0] // size // groups)
    project(scores, work.keys[layer, group], work.qkv[head * size : (head + 1) * size], 0, position + 1)
    highest = scores[0]
    for at in range(position + 1):
        highest = max(highest, scores[at])
    total = np.float32(0)
    scale = np.float32(1) / np.sqrt(np.float32(size))
    for at in range(position + 1):
        scores[at] = exponential((scores[at] - highest) * scale)
        total += scores[at]
    mixed = work.mixed[head * size : (head + 1) * size]
    mixed[:] = 0
    for at in range(position + 1):
        share_of_token = scores[at] / total
        for i in range(size):
            mixed[i] += share_of_token * work.values[layer, group, at, i]


@njit(**COMPILED)
def _feed_forward(
    thread: int, layer: int, scale: float, weights: LlamaWeights, cutoffs: RowCutoffs, work: Work
) -> None:
    """Set this thread's partial sum to what its own neurons contribute."""
    x, hidden, kept, partial = (
        work.normed[thread],
        work.hidden[thread],
        work.kept[thread],
        work.partial[thread],
    )
    neurons = hidden.shape[0] // 2
    hidden[:] = 0
    # Every thread lists the kept inputs itself: the marks agree, and comparing is cheaper than waiting.
    count = keep(x, cutoffs.inputs[layer], scale, kept, work.input_mask[layer])
    add_kept(hidden, weights.gate_up[thread, layer], x, kept, count)
    a = hidden[:neurons]
    for i in range(neurons):
        e = exponential(-abs(a[i]))  # of the side where it is small: silu(a) = a·e/(1 + e) below zero
        a[i] = a[i] * (e if a[i] < 0 else np.float32(1)) / (np.float32(1) + e) * hidden[neurons + i]
    own = slice(thread * neurons, (thread + 1) * neurons)
    work.activity[layer, own] = a
    count = keep(a, cutoffs.neurons[layer, own], scale, kept, work.neuron_mask[layer, own])
    partial[:] = 0
    add_kept(partial, weights.down[thread, layer], a, kept, count)


@njit(**COMPILED)
def _token(
    thread: int,
    threads: int,
    token: int,
    position: int,
    scale: float,
    weights: LlamaWeights,
    cutoffs: RowCutoffs,
    work: Work,
) -> None:
    """Process ``token`` at ``position`` and leave the logits of the next one in ``work.logits``."""
    residual, x = work.residual[thread], work.normed[thread]
    look_up(residual, weights.embedding, token)
    size = work.keys.shape[3]
    first_head, last_head = share(work.qkv.shape[0] // size, thread, threads)
    first_query, last_query = share(work.mixed.shape[0] // size, thread, threads)
    first_row, last_row = share(residual.shape[0], thread, threads)
    turn = 1
    for layer in range(weights.qkv.shape[0]):
        _normalize(x, residual, weights.norms[2 * layer], weights.epsilon)
        multiply(work.qkv, weights.qkv[layer], x, first_head * size, last_head * size)
        _store_heads(layer, position, first_head, last_head, weights, work)
        turn = meet(work.counter, threads, turn)
        for head in range(first_query, last_query):
            _attend(head, layer, position, work.scores[thread], work)
        turn = meet(work.counter, threads, turn)
        multiply(work.attended, weights.out[layer], work.mixed, first_row, last_row)
        turn = meet(work.counter, threads, turn)
        for i in range(residual.shape[0]):
            residual[i] += work.attended[i]
        _normalize(x, residual, weights.norms[2 * layer + 1], weights.epsilon)
        _feed_forward(thread, layer, scale, weights, cutoffs, work)
        turn = meet(work.counter, threads, turn)
        for i in range(residual.shape[0]):
            residual[i] += work.bias[layer, i]
            for part in range(threads):
                residual[i] += work.partial[part, i]
    _normalize(x, residual, weights.norms[-1], weights.epsilon)
    first_word, last_word = share(work.logits.shape[0], thread, threads)
    multiply(work.logits, weights.head, x, first_word, last_word)


class LlamaStep:
    """A Llama-like model's decode step on the CPU, batch 1; its weights are a copy in the order they are read.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Llama architecture in float32, bfloat16 or blocks of GGUF (`clada_neuro.models.ggml`), on the CPU; sums are float32.
    context : int
        Longest sequence in tokens.
    threads : int, optional
        Numba's number of threads (NUMBA_NUM_THREADS) by default, fewer for small layers.

    Attributes
    ----------
    position : int
        Tokens in the cache.
    bias : Tensor
        What is added to the blocks' outputs, ``(layers, hidden)``; write to it.

    Raises
    ------
    ModelError
        If the model is not of this architecture or precision.
    """

    def __init__(self, model: PreTrainedModel, *, context: int = 2048, threads: int | None = None) -> None:
        check(model)
        most = max(1, model.config.intermediate_size // _NEURONS_A_THREAD)
        self.threads = threads or min(numba.config.NUMBA_NUM_THREADS, most)  # type: ignore[attr-defined]
        self.position = 0
        self.weights = self._all = pack(model, context, self.threads)
        self._neurons = model.config.intermediate_size
        self._work = _work(model, self.weights, self.threads)
        self.bias = torch.from_numpy(self._work.bias)
        self._pool = ThreadPoolExecutor(max(1, self.threads - 1), thread_name_prefix="clada-step")
        self.use_cutoffs()

    def use_cutoffs(self, inputs: Tensor | None = None, neurons: Tensor | None = None) -> None:
        """Keep rows with |value| ≥ scale·cutoff: ``inputs (layers, hidden)``, ``neurons (layers, intermediate)``.

        ``None`` keeps every row of that site.
        """
        layers, hidden = self._work.input_mask.shape
        cutoffs = RowCutoffs(
            np.zeros((layers, hidden), np.float32), np.full(self._work.neuron_mask.shape, np.inf, np.float32)
        )
        cutoffs.neurons[:, : self._neurons] = 0
        if inputs is not None:
            cutoffs.inputs[:] = inputs.numpy()
        if neurons is not None:
            cutoffs.neurons[:, : self._neurons] = neurons.numpy()
        self._cutoffs = cutoffs

    def use_neurons(self, layers: list[FFN], neurons: Tensor | None = None) -> None:
        """Compute only ``neurons (layers, kept)`` from now on, from a copy of their weights; ``None`` for all."""
        if neurons is None:
            self.weights = self._all
        else:
            gate_up, down = pack_blocks(layers, self.threads, neurons)
            self.weights = self._all._replace(gate_up=gate_up, down=down)
        self._neurons = layers[0].intermediate_size if neurons is None else neurons.shape[1]
        self._work = self._work._replace(**_block_work(self.weights))
        self.use_cutoffs()

    def reserve(self, model: PreTrainedModel, context: int) -> None:
        """Take sequences of ``context`` tokens, too; the one at hand is lost where memory moves."""
        if context > self._work.keys.shape[2]:
            self._all = self._all._replace(rotation=rotation(model, context))
            self.weights = self.weights._replace(rotation=self._all.rotation)
            self._work = self._work._replace(**_context_work(model, self.weights, self.threads))

    def start(self, cache: Any, logits: Tensor) -> Tensor:
        """Continue from the keys and values of a transformers cache with one sequence, and its last logits.

        Returns these ``(vocabulary,)`` in float32, overwritten by the next token's.
        """
        for layer, entry in enumerate(cache.layers):
            length = entry.keys.shape[2]
            self._work.keys[layer, :, :length] = entry.keys[0].float().numpy()
            self._work.values[layer, :, :length] = entry.values[0].float().numpy()
        self.position = length
        self._work.logits[:] = logits.float().numpy()
        return torch.from_numpy(self._work.logits)

    def __call__(self, token: int, scale: float = 1.0) -> Tensor:
        """Process ``token``; return the next one's logits ``(vocabulary,)``, overwritten by the next call."""
        if self.position >= self._work.keys.shape[2]:
            raise ModelError(
                f"sequence longer than the step's context of {self._work.keys.shape[2]} tokens; "
                "build LlamaStep with a larger context"
            )
        self._work.counter[:] = 0
        self._run(_token, token, self.position, scale, self.weights, self._cutoffs, self._work)
        self.position += 1
        return torch.from_numpy(self._work.logits)

    def surprisal_and_entropy(self, token: int) -> tuple[float, float]:
        """Return a drawn token's surprisal and the entropy of the distribution it came from, the last one, in bits.

        The same as `clada_neuro.runtime.cognitive_load.surprisal_and_entropy`, in one compiled pass.
        """
        logits = self._work.logits
        highest = logits.max()
        mass, weighted = moments(logits, highest)
        normaliser = math.log(mass)
        surprisal = normaliser + float(highest - logits[token])
        return surprisal / _LOG_2, (normaliser - weighted / mass) / _LOG_2

    def _run(self, work: Any, *rest: Any) -> None:
        """Call a compiled function once a thread, side by side."""
        others = [self._pool.submit(work, thread, self.threads, *rest) for thread in range(1, self.threads)]
        work(0, self.threads, *rest)
        for other in others:
            other.result()

    @property
    def nbytes(self) -> int:
        """Bytes of the weights' copy."""
        return sum(
            array.nbytes for array in (self._all.qkv, self._all.out, self._all.gate_up, self._all.down)
        )

    @property
    def input_mask(self) -> Tensor:
        """Which inputs the last token read, ``(layers, hidden)``."""
        return torch.from_numpy(self._work.input_mask)

    @property
    def neuron_mask(self) -> Tensor:
        """Which neurons the last token read, ``(layers, intermediate)``."""
        return torch.from_numpy(self._work.neuron_mask[:, : self._neurons])

    @property
    def activity(self) -> Tensor:
        """The last token's hidden activation a, ``(layers, intermediate)``."""
        return torch.from_numpy(self._work.activity[:, : self._neurons])


def _zeros(*shape: int, dtype: Any = np.float32) -> Array:
    return aligned(shape, dtype)


def _work(model: PreTrainedModel, weights: LlamaWeights, threads: int) -> Work:
    layers, hidden = weights.qkv.shape[0], weights.norms.shape[1]
    queries = model.config.num_attention_heads
    return Work(
        residual=_zeros(threads, hidden),
        normed=_zeros(threads, hidden),
        qkv=_zeros(weights.qkv.shape[1]),
        mixed=_zeros(queries * 2 * weights.rotation.shape[2]),
        attended=_zeros(hidden),
        partial=_zeros(threads, hidden),
        bias=_zeros(layers, hidden),
        input_mask=_zeros(layers, hidden, dtype=np.bool_),
        logits=_zeros(weights.head.shape[0]),
        counter=_zeros(8, dtype=np.int64),
        **_context_work(model, weights, threads),
        **_block_work(weights),
    )


def _context_work(model: PreTrainedModel, weights: LlamaWeights, threads: int) -> dict[str, Array]:
    """Return what depends on the longest sequence."""
    context, _, half = weights.rotation.shape
    shape = (weights.qkv.shape[0], model.config.num_key_value_heads, context, 2 * half)
    return {"keys": _zeros(*shape), "values": _zeros(*shape), "scores": _zeros(threads, context)}


def _block_work(weights: LlamaWeights) -> dict[str, Array]:
    """Return what depends on the number of neurons."""
    threads, layers, _, both = weights.gate_up.shape
    neurons, hidden = both // 2, weights.norms.shape[1]
    return {
        "hidden": _zeros(threads, both),
        "kept": _zeros(threads, max(hidden, neurons), dtype=np.uint64),
        "neuron_mask": _zeros(layers, threads * neurons, dtype=np.bool_),
        "activity": _zeros(layers, threads * neurons),
    }
