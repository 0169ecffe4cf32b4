"""Measure feed-forward activity while the model runs, layer by layer, keeping only the measures.

What outlives a pass is one vector of contributions per sequence and layer (the last token's) and their running sum,
so that the next pass over the same sequences can go on where this one stopped.
"""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from clada_neuro.instrument.activity import Activations, firsts, neuron_sparsity, of_activations, of_share
from clada_neuro.instrument.tree import Branches
from clada_neuro.measures.measure import Origin, in_order
from clada_neuro.measures.tokens import named
from clada_neuro.models.ffn import FFN
from clada_neuro.models.mixtures import Experts
from clada_neuro.models.watching import watching
from clada_neuro.runtime.cutoffs import Cutoffs

MEASURES = named(Origin.CONTRIBUTIONS, Origin.CUTOFFS)
MOST_BYTES = 1 << 26  # of activations that wait to be measured


@dataclass(frozen=True)
class Carry:
    """What one layer hands to the next pass: contributions of the last token and their sum, (rows, n)."""

    last: Tensor
    total: Tensor

    def select(self, rows: Tensor) -> "Carry":
        """Return the carry of the given rows, which may repeat."""
        return Carry(self.last[rows], self.total[rows])


@dataclass(frozen=True)
class _Layer:
    """What is known of a layer that waits to be measured."""

    given: Activations
    sparsity: Tensor
    share: float


class ActivityRecorder:
    """Context manager that watches the input of every down projection, and of experts.

    Parameters
    ----------
    layers : list of FFN or Experts
        From `clada_neuro.models.registry.measured_layers`.
    cutoffs : Cutoffs, optional
        Below which a neuron would be left out; without them `neuron_sparsity` is missing.
    """

    def __init__(self, layers: Sequence[FFN | Experts], cutoffs: Cutoffs | None = None) -> None:
        self._layers = layers
        self._cutoffs = cutoffs
        self._hooks = ExitStack()
        self._values: list[Tensor] = []
        self._carry: list[Carry] = []
        self._after: list[Carry] = []
        self._fresh = True
        self._rows = 0
        self._branches: Branches | None = None
        self._waiting: list[_Layer] = []

    def __enter__(self) -> "ActivityRecorder":
        for place, block in enumerate(self._layers):
            if isinstance(block, Experts):
                hook = block.module.register_forward_pre_hook(partial(self._see_experts, place, block))
                self._hooks.callback(hook.remove)
            else:
                self._hooks.enter_context(watching([block], a=partial(self._see, place)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hooks.close()

    def begin(self, rows: int, carry: list[Carry], branches: Branches | None = None) -> None:
        """Announce a pass over `rows` sequences, or trees.

        Without a carry the pass begins the sequences, and their first token is left out: whatever stands first,
        the start token or not, is the model's attention sink.
        """
        self._rows, self._carry, self._values, self._branches = rows, list(carry), [], branches
        self._waiting, self._fresh, self._after = [], not carry, []

    def finish(self) -> tuple[dict[str, np.ndarray], list[Carry]]:
        """Return the pass's `MEASURES`, each (layers, rows, seq), and the carry of every layer; none without layers."""
        if not self._layers:
            return {}, []
        self._measure()
        first = self._values[0].device
        together = [values.to(first) for values in self._values]  # where layers are on several devices
        values = torch.stack(together, dim=1).cpu().numpy()  # at once: a device is asked to wait once
        return dict(zip(MEASURES, values, strict=True)), self._after

    def _see_experts(self, place: int, block: Experts, _: torch.nn.Module, args: tuple[Tensor, ...]) -> None:
        e = self._by_row(block.contributions(*args), block.size)
        missing = e.new_full(e.shape[:-1], math.nan)
        share = block.ran(args[1]) / block.size
        self._observe(place, e, e.new_ones(block.size), missing, share)

    def _see(self, place: int, block: FFN, a: Tensor) -> None:
        a = self._by_row(a, block.intermediate_size)
        self._observe(place, a, block.neuron_norms.to(a.device), self._sparsity(place, a))

    def _by_row(self, values: Tensor, size: int) -> Tensor:
        return values.reshape(self._rows, -1, size)

    def _observe(self, place: int, a: Tensor, norms: Tensor, sparsity: Tensor, share: float = 1.0) -> None:
        """Take in a layer's a (rows, seq, n), of which a token has at most a share."""
        if self._fresh:
            sparsity.masked_fill_(firsts(a, self._branches), math.nan)
            nothing = a.new_zeros(a.shape[0], a.shape[2], dtype=torch.float32)
            before = Carry(nothing, nothing)
        else:
            before = self._carry[place]
        if self._waiting and self._waiting[0].given.a.device != a.device:
            self._measure()
        self._waiting.append(_Layer(Activations(a, norms, before.last, before.total), sparsity, share))
        if a.device.type != "cpu" or sum(layer.given.a.nbytes for layer in self._waiting) > MOST_BYTES:
            self._measure()

    def _measure(self) -> None:
        """Measure the layers that wait; on a CPU some at once, since threads of PyTorch still spin when others take over."""
        if not self._waiting:
            return
        given = [layer.given for layer in self._waiting]
        found = of_activations(given, self._branches, fresh=self._fresh)
        for layer, (values, last, total) in zip(self._waiting, found, strict=True):
            values["neuron_sparsity"] = layer.sparsity
            values = values if layer.share == 1 else of_share(values, layer.given.a.shape[2], layer.share)
            self._values.append(torch.stack(in_order(values, MEASURES)))
            self._after.append(Carry(last, total))
        self._waiting.clear()

    def _sparsity(self, place: int, a: Tensor) -> Tensor:
        if self._cutoffs is None:
            return a.new_full(a.shape[:-1], math.nan, dtype=torch.float32)
        return neuron_sparsity(a.abs().float(), self._cutoffs.values[place].to(a.device))
