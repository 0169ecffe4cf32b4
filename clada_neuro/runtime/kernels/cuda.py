"""One sequence under a policy on a CUDA device: Triton kernels that read only kept rows, one CUDA graph a token.

Attention, norms and logits are transformers' own, over its static cache. In a gated block, weights are stored so that
what is skipped is a contiguous row, and a row is loaded only where |value| ≥ scale·cutoff:

    kept inputs j:   [g; u] += x_j · [W_g; W_u][:, j]
    kept neurons i:  y += a_i · W_d[:, i],  a = silu(g) ⊙ u

A program sums a chunk of rows over a few columns; chunks are added in a fixed order, so that results repeat. Weights are
float32 or bfloat16, sums float32. Cut-offs, scale, bias and masks stay in the same device memory, where the graph finds
them, and nothing is read back: the host waits for no token.

The kernels are tested in Triton's interpreter (TRITON_INTERPRET=1) and on a GPU, where they are not yet faster than dense
decoding in one graph (`analyses/results/decode_speed/llama-7b-random_bfloat16_cuda.csv`).
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, StaticCache

from clada_neuro.errors import ModelError
from clada_neuro.models.ffn import FFN
from clada_neuro.models.registry import ffn_layers
from clada_neuro.runtime.cognitive_load import surprisal_and_entropy
from clada_neuro.runtime.kernels.limits import common, require
from clada_neuro.runtime.policy import HIDDEN, INPUT
from clada_neuro.runtime.thresholds import Compensation

try:
    import triton
    import triton.language as tl
except ImportError as error:
    raise ModelError(
        "the CUDA kernels need Triton, which PyTorch's CUDA builds bring along; "
        "install one, or the extra: pip install 'clada-neuro[cuda]'"
    ) from error

CHUNK, TILE, COLUMNS = 256, 32, 128  # rows of a program, rows of one of its loads, columns


@triton.jit
def _add_rows(
    parts, rows, values, cutoffs, scale, mask, n, m,
    CHUNK: tl.constexpr, TILE: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Set parts[c] to Σ values[r]·rows[r] over the kept r of chunk c, and note what is kept; rows is ``(n, m)``."""
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    chunk = tl.program_id(1)
    total = tl.zeros((TILE, COLUMNS), tl.float32)
    for start in range(0, CHUNK, TILE):
        row = chunk * CHUNK + start + tl.arange(0, TILE)
        value = tl.load(values + row, mask=row < n, other=0.0).to(tl.float32)
        cutoff = tl.load(cutoffs + row, mask=row < n, other=0.0)
        kept = (row < n) & (tl.abs(value) >= tl.load(scale) * cutoff)
        # A row that is masked here is not fetched.
        place = row.to(tl.int64)[:, None] * m + column[None, :]
        weight = tl.load(rows + place, mask=kept[:, None] & (column < m)[None, :], other=0.0)
        total += value[:, None] * weight.to(tl.float32)
        if tl.program_id(0) == 0:
            tl.store(mask + row, kept, mask=row < n)
    tl.store(parts + chunk * m + column, tl.sum(total, axis=0), mask=column < m)


@triton.jit
def _activate(a, parts, chunks, n, COLUMNS: tl.constexpr):
    """Set a to silu(g) ⊙ u, with [g; u] the sum of ``parts (chunks, 2·n)``."""
    neuron = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    gate = tl.zeros((COLUMNS,), tl.float32)
    up = tl.zeros((COLUMNS,), tl.float32)
    for chunk in range(chunks):
        part = parts + chunk * 2 * n + neuron
        gate += tl.load(part, mask=neuron < n, other=0.0)
        up += tl.load(part + n, mask=neuron < n, other=0.0)
    tl.store(a + neuron, gate * tl.sigmoid(gate) * up, mask=neuron < n)


@triton.jit
def _finish(y, parts, bias, chunks, m, COLUMNS: tl.constexpr):
    """Set y to the sum of ``parts (chunks, m)`` plus the bias."""
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.load(bias + column, mask=column < m, other=0.0)
    for chunk in range(chunks):
        total += tl.load(parts + chunk * m + column, mask=column < m, other=0.0)
    tl.store(y + column, total.to(y.dtype.element_ty), mask=column < m)


def check(model: PreTrainedModel) -> None:
    """Raise `ModelError` unless the kernels can run the model's blocks in a graph."""
    layers = ffn_layers(model)
    maps = [part for ffn in layers for part in (*ffn.inputs, ffn.down)]
    require(
        "the CUDA kernels",
        {
            "gated blocks": (all(ffn.gated for ffn in layers), (True,)),
            **common(model),
            "biases": (any(part.bias is not None for part in maps), (False,)),
            "dtype": (model.dtype, (torch.float32, torch.bfloat16)),
        },
    )


class Blocks:
    """A model's feed-forward blocks in kernels, for one token; their weights are a copy, stored by row.

    Attributes
    ----------
    scale : Tensor
        Threshold scale of the coming token, ``(1,)``.
    bias : Tensor
        Added to the blocks' outputs, ``(layers, hidden)``.
    input_mask, neuron_mask : Tensor
        What the last token read, ``(layers, hidden)`` and ``(layers, neurons)``.
    activity : Tensor
        The last token's hidden activation a, ``(layers, neurons)``.

    Raises
    ------
    ModelError
        If the blocks are not gated by SiLU, have biases, or are not in float32 or bfloat16.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        check(model)
        self.layers = ffn_layers(model)
        self._device = model.device
        self._rows: list[tuple[Tensor, Tensor]] = []
        shape = (len(self.layers), self.layers[0].hidden_size)
        self.scale = self._zeros(1)
        self.bias = self._zeros(*shape)
        self.input_mask = self._zeros(*shape, dtype=torch.bool)
        self._input_cutoffs = self._zeros(*shape)

    def _zeros(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.zeros(shape, dtype=dtype, device=self._device)

    def use_neurons(self, neurons: Tensor | None = None) -> bool:
        """Compute only ``neurons (layers, kept)`` from now on, ``None`` for all.

        Returns whether memory moved, so that a graph which was captured before is void.
        """
        count = self.layers[0].intermediate_size if neurons is None else neurons.shape[1]
        moved = not self._rows or self._rows[0][1].shape[0] != count
        if not moved and neurons is None:
            return False
        if moved:
            self._rows = []  # freed before the new rows are made
        for index, ffn in enumerate(self.layers):
            rows = _rows(ffn, slice(None) if neurons is None else neurons[index])
            if moved:
                self._rows.append(rows)
            else:
                for old, new in zip(self._rows[index], rows, strict=True):
                    old.copy_(new)
        if moved:
            layers, hidden = self.bias.shape
            self.neuron_mask = self._zeros(layers, count, dtype=torch.bool)
            self.activity = self._zeros(layers, count)
            self._neuron_cutoffs = self._zeros(layers, count)
            self._hidden_parts = self._zeros(triton.cdiv(hidden, CHUNK), 2 * count)
            self._output_parts = self._zeros(triton.cdiv(count, CHUNK), hidden)
        return moved

    def use_cutoffs(self, inputs: Tensor | None = None, neurons: Tensor | None = None) -> None:
        """Keep rows with |value| ≥ scale·cutoff: ``inputs (layers, hidden)``, ``neurons (layers, neurons)``.

        ``None`` keeps every row of that site.
        """
        for own, new in ((self._input_cutoffs, inputs), (self._neuron_cutoffs, neurons)):
            own.zero_() if new is None else own.copy_(new)

    def forward(self, layer: int, x: Tensor) -> Tensor:
        """Return a block's output for one token's x ``(1, 1, hidden)``."""
        input_rows, neuron_rows = self._rows[layer]
        y, a = torch.empty_like(x), self.activity[layer]
        self._add(self._hidden_parts, input_rows, x, self._input_cutoffs[layer], self.input_mask[layer])
        grid = (triton.cdiv(len(a), COLUMNS),)
        _activate[grid](a, self._hidden_parts, len(self._hidden_parts), len(a), COLUMNS)
        self._add(self._output_parts, neuron_rows, a, self._neuron_cutoffs[layer], self.neuron_mask[layer])
        grid = (triton.cdiv(y.numel(), COLUMNS),)
        _finish[grid](y, self._output_parts, self.bias[layer], len(self._output_parts), y.numel(), COLUMNS)
        return y

    def _add(self, parts: Tensor, rows: Tensor, values: Tensor, cutoffs: Tensor, mask: Tensor) -> None:
        n, m = rows.shape
        grid = (triton.cdiv(m, COLUMNS), len(parts))
        _add_rows[grid](parts, rows, values, cutoffs, self.scale, mask, n, m, CHUNK, TILE, COLUMNS)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model compute its blocks here inside a ``with`` block."""
        for ffn in self.layers:
            ffn.module.forward = partial(self.forward, ffn.layer)
        try:
            yield
        finally:
            for ffn in self.layers:
                del ffn.module.forward


def _rows(ffn: FFN, chosen: Tensor | slice) -> tuple[Tensor, Tensor]:
    """Return [W_g; W_u] by input ``(hidden, 2·kept)`` and W_d by neuron ``(kept, hidden)``."""
    gate, up = ffn.input_weight.chunk(2)
    return torch.cat([gate[chosen], up[chosen]]).t().contiguous(), ffn.down_weight[:, chosen].t().contiguous()


class TokenGraph:
    """A model's pass over one token and a static cache; on a CUDA device a single graph after `capture`.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Also runs the dense prefill.
    context : int
        Longest sequence in tokens.
    blocks : Blocks, optional
        Compute the feed-forward blocks; the model itself by default.
    """

    def __init__(self, model: PreTrainedModel, context: int, blocks: Blocks | None = None) -> None:
        config = model.config
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.model, self.context, self.blocks = model, context, blocks
        self._cache: Any = StaticCache(config=config, max_cache_len=context)
        self._cache.early_initialization(
            1, config.num_key_value_heads, size, dtype=model.dtype, device=model.device
        )
        self._columns = torch.arange(context, device=model.device)
        self._token = torch.zeros(1, 1, dtype=torch.long, device=model.device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._length = 0

    @torch.no_grad()
    def prefill(self, ids: Tensor) -> Tensor:
        """Process a prompt ``(tokens,)`` with the model itself; return the next token's logits ``(1, vocabulary)``."""
        self._reserve(len(ids), 0)
        self._cache.reset()
        output = self.model(ids[None], past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        return output.logits[:, -1]

    @torch.no_grad()
    def capture(self, anew: bool = False) -> None:
        """Capture the graph for all later tokens, unless there is one that still holds."""
        if anew:
            self._graph = None
        room = self._length < self.context
        if self.model.device.type != "cuda" or self._graph is not None or not room:
            return
        with torch.cuda.device(self.model.device):
            # Kernels are compiled and libraries set up outside the graph.
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(2):
                    self._pass()
                    self._rewind()
            torch.cuda.current_stream().wait_stream(aside)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._logits = self._pass()

    @torch.no_grad()
    def __call__(self, token: Tensor) -> Tensor:
        """Process ``token (1,)``; return the next one's logits ``(1, vocabulary)``, overwritten by the next call."""
        self._reserve(1, self._length)
        self._token.copy_(token[None])
        if self._graph is None:
            return self._pass()
        self._graph.replay()
        return self._logits

    def _reserve(self, tokens: int, before: int) -> None:
        """Count tokens on the host: beyond the cache, the device would only fail later."""
        if before + tokens > self.context:
            raise ModelError(
                f"sequence longer than the graph's context of {self.context} tokens; "
                "build TokenGraph with a larger context"
            )
        self._length = before + tokens

    def _pass(self) -> Tensor:
        """Process the token at the cache's end; transformers moves that end."""
        position = self._cache.layers[0].cumulative_length.reshape(1, 1).clone()
        mask = torch.zeros(1, 1, 1, self.context, dtype=self.model.dtype, device=self.model.device)
        mask.masked_fill_(self._columns > position, torch.finfo(self.model.dtype).min)
        inputs = {"attention_mask": mask, "position_ids": position, "past_key_values": self._cache}
        if self.blocks is None:
            return self.model(self._token, **inputs, use_cache=True).logits[:, -1]
        with self.blocks.in_place():
            return self.model(self._token, **inputs, use_cache=True).logits[:, -1]

    def _rewind(self) -> None:
        for layer in self._cache.layers:
            layer.cumulative_length.fill_(self._length)


class CudaKernel:
    """A model in a CUDA graph; methods as in `clada_neuro.runtime.kernels.session.Kernel`.

    Parameters
    ----------
    graph : TokenGraph
        With blocks.
    """

    skips_attention = False

    def __init__(self, graph: TokenGraph) -> None:
        assert graph.blocks is not None
        self.graph, self.blocks = graph, graph.blocks
        self.model, self.layers = graph.model, graph.blocks.layers
        self._logits: Tensor

    def prefill(self, ids: Tensor) -> Tensor:
        """Process a prompt ``(tokens,)`` with the model itself; return the next token's logits ``(1, vocabulary)``."""
        self._logits = self.graph.prefill(ids)
        return self._logits

    def step(self, token: Tensor) -> Tensor:
        """Process ``token (1,)``; return the next one's logits ``(1, vocabulary)``, overwritten by the next call."""
        self._logits = self.graph(token)
        return self._logits

    def use_neurons(self, neurons: Tensor | None) -> None:
        """Compute only ``neurons (layers, kept)`` from now on, ``None`` for all, and compensate for nothing."""
        moved = self.blocks.use_neurons(neurons)
        self.blocks.bias.zero_()
        self.graph.capture(anew=moved)

    def use_cutoffs(self, cutoffs: Mapping[str, Tensor]) -> None:
        """Keep rows with |value| ≥ scale·cutoff."""
        self.blocks.use_cutoffs(cutoffs.get(INPUT), cutoffs.get(HIDDEN))

    def follow(self, scale: Tensor, means: Mapping[str, Compensation]) -> None:
        """Set scale and bias on the device."""
        self.blocks.scale.copy_(scale)
        if HIDDEN in means:
            self.blocks.bias.copy_(means[HIDDEN].of_token(scale))

    def surprisal_and_entropy(self, token: Tensor) -> tuple[Tensor, Tensor]:
        """Return those of a token ``(1,)`` drawn from the last logits, in bits."""
        return surprisal_and_entropy(self._logits, token)

    def stepping(self) -> AbstractContextManager[None]:
        """Return a context that does nothing: the device works alone."""
        return nullcontext()

    @property
    def masks(self) -> dict[str, Tensor]:
        """Which rows the last token read, ``(layers, rows)`` by site."""
        return {INPUT: self.blocks.input_mask, HIDDEN: self.blocks.neuron_mask}

    @property
    def activity(self) -> Tensor:
        """The last token's hidden activation a, ``(layers, neurons)``."""
        return self.blocks.activity
