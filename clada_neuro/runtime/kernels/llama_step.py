"""One token of a Llama-like model in one compiled function, shared by all threads.

Each thread runs `_token` over its share of heads, neurons and output rows and waits for the others four times a layer.
Norms, what heads do and logits are dense. The feed-forward block reads a row only where |value| ≥ scale·cutoff:

    kept inputs j:   [g; u] += x_j · [W_g; W_u][:, j]        (a thread holds both columns of its own neurons)
    kept neurons i:  y += a_i · W_d[:, i],  a = silu(g) ⊙ u  (partial sums a thread, added after the meeting)

Under cut-offs of attention, so do its maps, which are read whole, output by output, without any:

    kept inputs j:   [q; k; v] += x_j · [W_q; W_k; W_v][:, j]  (partial sums a thread, added after a meeting more)
    kept inputs j:   y += m_j · W_o[:, j]                      (partial sums a thread)

Cut-offs are fixed for a sequence; the scale may change with every token. Cut-offs of 0 keep every row.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

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
    exponential,
    keep,
    meet,
    moments,
    share,
)
from clada_neuro.runtime.kernels.llama_attention import (
    add_attended,
    attend,
    project_heads,
    project_out,
    store_heads,
)
from clada_neuro.runtime.kernels.llama_weights import (
    LlamaWeights,
    by_input,
    check,
    pack,
    pack_blocks,
    rotation,
)
from clada_neuro.runtime.kernels.llama_work import (
    RowCutoffs,
    Work,
    of_attention,
    of_block,
    of_context,
    work_for,
)
from clada_neuro.runtime.kernels.rows import add_kept, look_up, multiply

_NEURONS_A_THREAD = 256  # fewer are computed faster than waited for
_LOG_2 = math.log(2)


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
def _feed_forward(
    thread: int, layer: int, scale: float, weights: LlamaWeights, cutoffs: RowCutoffs, work: Work
) -> None:
    """Set this thread's partial sum to what its own neurons contribute."""
    x, hidden, kept, partial, rounded = (
        work.normed[thread],
        work.hidden[thread],
        work.kept[thread],
        work.partial[thread],
        work.rounded[thread],
    )
    neurons = hidden.shape[0] // 2
    hidden[:] = 0
    # Every thread lists the kept inputs itself: the marks agree, and comparing is cheaper than waiting.
    count = keep(x, cutoffs.inputs[layer], scale, kept, work.input_mask[layer])
    add_kept(hidden, weights.gate_up[thread, layer], x, kept, count, rounded)
    a = hidden[:neurons]
    for i in range(neurons):
        e = exponential(-abs(a[i]))  # of the side where it is small: silu(a) = a·e/(1 + e) below zero
        a[i] = a[i] * (e if a[i] < 0 else np.float32(1)) / (np.float32(1) + e) * hidden[neurons + i]
    own = slice(thread * neurons, (thread + 1) * neurons)
    work.activity[layer, own] = a
    count = keep(a, cutoffs.neurons[layer, own], scale, kept, work.neuron_mask[layer, own])
    partial[:] = 0
    add_kept(partial, weights.down[thread, layer], a, kept, count, rounded)


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
    turn = 1
    for layer in range(weights.qkv.shape[0]):
        _normalize(x, residual, weights.norms[2 * layer], weights.epsilon)
        turn = project_heads(
            thread, threads, turn, layer, scale, first_head * size, last_head * size, weights, cutoffs, work
        )
        store_heads(layer, position, first_head, last_head, weights, work)
        turn = meet(work.counter, threads, turn)
        for head in range(first_query, last_query):
            attend(head, layer, position, work.scores[thread], work)
        turn = meet(work.counter, threads, turn)
        project_out(thread, threads, layer, scale, weights, cutoffs, work)
        turn = meet(work.counter, threads, turn)
        add_attended(residual, threads, layer, weights, work)
        _normalize(x, residual, weights.norms[2 * layer + 1], weights.epsilon)
        _feed_forward(thread, layer, scale, weights, cutoffs, work)
        turn = meet(work.counter, threads, turn)
        for i in range(residual.shape[0]):
            residual[i] += work.bias[layer, i]
            for part in range(threads):
                residual[i] += work.partial[part, i]
    _normalize(x, residual, weights.norms[-1], weights.epsilon)
    first_word, last_word = share(work.logits.shape[0], thread, threads)
    multiply(work.logits, weights.head, x, first_word, last_word, work.rounded[thread])


class LlamaStep:
    """A Llama-like model's decode step on the CPU, batch 1; its weights are a copy in the order they are read.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Llama architecture in float32, bfloat16 or blocks of GGUF (`clada_neuro.models.ggml`), on the CPU; sums are float32,
        of a block's bytes whole numbers.
    context : int
        Longest sequence in tokens.
    threads : int, optional
        Numba's number of threads (NUMBA_NUM_THREADS) by default, fewer for small layers.

    Attributes
    ----------
    position : int
        Tokens in the cache.
    bias, qkv_bias, out_bias : Tensor
        What is added to the outputs of blocks ``(layers, hidden)``, and, under cut-offs of attention, to queries, keys and
        values ``(layers, outputs)`` and to what attention gives ``(layers, hidden)``; write to them.

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
        self._work = work_for(model, self.weights, self.threads)
        self.bias, self.qkv_bias, self.out_bias = (
            torch.from_numpy(bias) for bias in (self._work.bias, self._work.qkv_bias, self._work.out_bias)
        )
        self._attention_rows: dict[str, Array] = {}
        self._pool = ThreadPoolExecutor(max(1, self.threads - 1), thread_name_prefix="clada-step")
        self.use_cutoffs()

    def use_cutoffs(
        self,
        inputs: Tensor | None = None,
        neurons: Tensor | None = None,
        qkv: Tensor | None = None,
        out: Tensor | None = None,
    ) -> None:
        """Keep rows with |value| ≥ scale·cutoff: ``inputs (layers, hidden)``, ``neurons (layers, intermediate)``.

        So do queries, keys and values with ``qkv (layers, hidden)`` and the output map with ``out (layers, heads·size)``.
        ``None`` keeps every row of that site.
        """
        layers, hidden = self._work.input_mask.shape
        cutoffs = RowCutoffs(
            np.zeros((layers, hidden), np.float32),
            np.full(self._work.neuron_mask.shape, np.inf, np.float32),
            np.zeros((layers, hidden), np.float32),
            np.zeros(self._work.out_mask.shape, np.float32),
        )
        cutoffs.neurons[:, : self._neurons] = 0
        places = (cutoffs.inputs, cutoffs.neurons[:, : self._neurons], cutoffs.qkv, cutoffs.out)
        for place, given in zip(places, (inputs, neurons, qkv, out), strict=True):
            if given is not None:
                place[:] = given.numpy()
        self._cutoffs = cutoffs
        self._skip_attention(qkv is not None or out is not None)

    def _skip_attention(self, skipped: bool) -> None:
        """Read attention's maps by input, of which rows can be skipped, or by output, which is faster for all of them."""
        if skipped and not self._attention_rows:
            self._attention_rows = {
                "qkv_rows": by_input(self._all.qkv, self.threads),
                "out_rows": by_input(self._all.out, self.threads),
            }
        none = {"qkv_rows": self._all.qkv_rows, "out_rows": self._all.out_rows}
        read: dict[str, Any] = self._attention_rows if skipped else none
        self.weights = self.weights._replace(**read)
        self._work = self._work._replace(**of_attention(self.weights, self.threads))

    def use_neurons(self, layers: list[FFN], neurons: Tensor | None = None) -> None:
        """Compute only ``neurons (layers, kept)`` from now on, from a copy of their weights; ``None`` for all."""
        if neurons is None:
            self.weights = self._all
        else:
            gate_up, down = pack_blocks(layers, self.threads, neurons)
            self.weights = self._all._replace(gate_up=gate_up, down=down)
        self._neurons = layers[0].intermediate_size if neurons is None else neurons.shape[1]
        self._work = self._work._replace(**of_block(self.weights, self._work.mixed.shape[0]))
        self.use_cutoffs()

    def reserve(self, model: PreTrainedModel, context: int) -> None:
        """Take sequences of ``context`` tokens, too; the one at hand is lost where memory moves."""
        if context > self._work.keys.shape[2]:
            self._all = self._all._replace(rotation=rotation(model, context))
            self.weights = self.weights._replace(rotation=self._all.rotation)
            self._work = self._work._replace(**of_context(model, self.weights, self.threads))

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
        kept = (self._all.qkv, self._all.out, self._all.gate_up, self._all.down)
        return sum(array.nbytes for array in (*kept, *self._attention_rows.values()))

    @property
    def input_mask(self) -> Tensor:
        """Which inputs the last token read, ``(layers, hidden)``."""
        return torch.from_numpy(self._work.input_mask)

    @property
    def neuron_mask(self) -> Tensor:
        """Which neurons the last token read, ``(layers, intermediate)``."""
        return torch.from_numpy(self._work.neuron_mask[:, : self._neurons])

    @property
    def qkv_mask(self) -> Tensor:
        """Of which inputs the last token made queries, keys and values under cut-offs of attention, ``(layers, hidden)``."""
        return torch.from_numpy(self._work.qkv_mask)

    @property
    def out_mask(self) -> Tensor:
        """Which of what heads gathered attention's output map read, likewise, ``(layers, heads·size)``."""
        return torch.from_numpy(self._work.out_mask)

    @property
    def activity(self) -> Tensor:
        """The last token's hidden activation a, ``(layers, intermediate)``."""
        return torch.from_numpy(self._work.activity[:, : self._neurons])
