"""What a policy costs on given texts: rise of loss and divergence from the dense predictions."""

import math
from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.baselines.dense import Dense
from clada_neuro.runtime.policy import Policy
from clada_neuro.runtime.scoring import Score, score


@dataclass(frozen=True)
class Cost:
    """A policy on some texts; one value a text.

    Attributes
    ----------
    loss : Tensor
        Mean rise of loss over dense, nats per token whose prediction the policy touched.
    divergence : Tensor
        Mean KL(dense ‖ policy) of the same predictions, nats: the expected rise of loss, with less noise.
    ffn_sparsity : Tensor
        Mean share of feed-forward weight bytes not read.
    scores : list of Score
    """

    loss: Tensor
    divergence: Tensor
    ffn_sparsity: Tensor
    scores: list[Score]

    def upper_bound(self, confidence: float) -> float:
        """Return the one-sided upper bound of the mean rise of loss over documents (Student t)."""
        n = len(self.loss)
        spread = float(self.loss.std()) / math.sqrt(n)
        return float(self.loss.mean()) + float(stats.t.ppf(confidence, n - 1)) * spread


class Yardstick:
    """Texts with their dense predictions, against which policies are measured."""

    def __init__(self, model: PreTrainedModel, tokens: Tensor, prefix: int) -> None:
        self.model, self.prefix = model, prefix
        self.texts = tokens.tolist()
        self._dense: list[Tensor] = [torch.empty(0)] * len(self.texts)
        keep = _Predictions(self._store)
        self.dense = score(model, Dense(), self.texts, prefix=prefix, observer=keep)
        self._sums = torch.zeros(len(self.texts), dtype=torch.float64)

    def measure(self, policy: Policy) -> Cost:
        """Score every text under a policy."""
        self._sums.zero_()
        scores = score(
            self.model, policy, self.texts, prefix=self.prefix, observer=_Predictions(self._compare)
        )
        touched = [len(text) - self.prefix - 1 for text in self.texts]
        loss = [
            (after.surprisal_bits - before.surprisal_bits)[self.prefix + 1 :].mean() * math.log(2)
            for after, before in zip(scores, self.dense, strict=True)
        ]
        sparsity = [result.ffn_sparsity[self.prefix :].mean() for result in scores]
        return Cost(torch.stack(loss), self._sums / torch.tensor(touched), torch.stack(sparsity), scores)

    def _store(self, row: int, positions: Tensor, logits: Tensor) -> None:
        if not len(self._dense[row]):
            self._dense[row] = torch.empty(len(self.texts[row]), logits.shape[1], dtype=torch.float16)
        self._dense[row][positions.cpu()] = logits.log_softmax(-1).half().cpu()

    def _compare(self, row: int, positions: Tensor, logits: Tensor) -> None:
        positions = positions.cpu()
        touched = (positions >= self.prefix) & (positions < len(self.texts[row]) - 1)
        dense = self._dense[row][positions[touched]].float()
        policy = logits[touched.to(logits.device)].log_softmax(-1).cpu()
        self._sums[row] += (dense.exp() * (dense - policy)).sum()


class _Predictions:
    """Hand predictions on, text by text."""

    def __init__(self, take) -> None:  # type: ignore[no-untyped-def]
        self.take = take

    def hidden(self, layer: int, rows: Tensor, positions: Tensor, a: Tensor) -> None:
        """Nothing to do."""

    def logits(self, rows: Tensor, positions: Tensor, logits: Tensor) -> None:
        """Split by text."""
        for row in rows.unique().tolist():
            own = rows == row
            self.take(row, positions[own], logits[own].float())
