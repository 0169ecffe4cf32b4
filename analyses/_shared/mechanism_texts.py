"""Texts of equal length on which policies are measured token by token; what is on disk is read instead of run."""

from collections.abc import Callable
from functools import cached_property, partial

import torch
from torch import Tensor
from tqdm import tqdm

from _shared.token_costs import Batch, Costs
from clada_neuro.models.loading import LanguageModel
from clada_neuro.passes.pieces import Pieces
from clada_neuro.runtime.policy import Policy

LENGTH, PREFIX, BATCH = 128, 32, 8
DENSE = "dense"


class Texts:
    """Texts ``(texts, length)``, with where their cells are kept.

    Parameters
    ----------
    model : LanguageModel
    tokens : Tensor
    pieces : Store of Piece
    name : str
        Of the texts, in the names of files.
    """

    def __init__(self, model: LanguageModel, tokens: Tensor, pieces: Pieces, name: str) -> None:
        self.model, self.tokens, self.pieces, self.name = model, tokens, pieces, name

    @cached_property
    def batches(self) -> list[Batch]:
        """The texts that are processed together."""
        return [Batch(self.model, part, PREFIX) for part in self.tokens.split(BATCH)]

    def costs(
        self, label: str, policy: Callable[[int], Policy], *, signals: bool = False, first: int | None = None
    ) -> Costs:
        """Return what the policies that ``policy`` gives for each batch cost on all texts, or on the ``first`` batches."""
        rows = range(len(self.batches))[:first]
        shown = tqdm(rows, desc=f"{self.name} {label}", disable=self.has(label, first))

        def measure(row: int) -> Costs:
            return self.batches[row].under(policy(row), self._dense(row), signals)

        return _joined([self._once(row, label, partial(measure, row)) for row in shown])

    def noted(self, label: str, note: Callable[[Tensor], Costs]) -> Costs:
        """Return what ``note`` finds of each batch's tokens."""
        shown = tqdm(range(len(self.batches)), desc=f"{self.name} {label}", disable=self.has(label))
        tokens = [batch.tokens for batch in self.batches]
        return _joined([self._once(row, label, partial(note, tokens[row])) for row in shown])

    def has(self, label: str, first: int | None = None) -> bool:
        """Return whether all cells of a label are there."""
        return self.pieces.has(*(self._name(row, label) for row in range(len(self.batches))[:first]))

    def batch(self, label: str, number: int) -> Costs:
        """Return what was found of one batch."""
        piece = self.pieces.read(self._name(number, label))
        assert piece is not None
        return dict(piece[1])

    def _dense(self, row: int) -> Costs:
        return self._once(row, DENSE, self.batches[row].dense)

    def _once(self, row: int, label: str, compute: Callable[[], Costs]) -> Costs:
        return dict(self.pieces.once(self._name(row, label), lambda: ({}, compute()))[1])

    def _name(self, row: int, label: str) -> str:
        return f"{self.name}-{row:04d}-{label}"


def by_text(costs: Costs) -> dict[str, Tensor]:
    """Return each text's mean ``loss`` (rise over dense) and ``divergence``, nats per token, and ``ffn_sparsity``."""
    return {
        "loss": costs["rise"].mean(1),
        "divergence": costs["divergence"].mean(1),
        "ffn_sparsity": costs["sparsity"].mean(1),
    }


def _joined(found: list[Costs]) -> Costs:
    return {name: torch.cat([part[name] for part in found]) for name in found[0]}
