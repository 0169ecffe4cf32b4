"""What a policy costs on given texts: rise of loss and divergence from the dense predictions."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from scipy import stats
from torch import Tensor

from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.places import Places, map_shards
from clada_neuro.passes.pieces import Piece, Pieces
from clada_neuro.policies.dense import Dense
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.fixed_point import scheduled
from clada_neuro.runtime.policy import Policy
from clada_neuro.runtime.scoring import BATCH_TOKENS, score

LIKELIEST = 256  # tokens of a prediction that are compared one by one; the rest count as one


@dataclass(frozen=True)
class Cost:
    """A policy on some texts; one value a text.

    Attributes
    ----------
    loss : Tensor
        Mean rise of loss over dense, nats per token whose prediction the policy touched.
    divergence : Tensor
        Mean KL(dense ‖ policy) of the same predictions over dense's likeliest tokens and the rest, nats: the expected
        rise of loss, with less noise.
    sparsity : Tensor
        Mean share of weight bytes not read, of what the policy's scope is.
    dropped : Tensor
        Mean share of rows left out, ``(texts, sites)``: sites of attention, then of the block.
    surprisal_bits, entropy_bits : Tensor
        Of every token, ``(texts, length)``.
    """

    loss: Tensor
    divergence: Tensor
    sparsity: Tensor
    dropped: Tensor
    surprisal_bits: Tensor
    entropy_bits: Tensor


def upper_bound(losses: Tensor, confidence: float) -> float:
    """Return the one-sided upper bound of the mean of independent values (Student t)."""
    n = len(losses)
    spread = float(losses.std()) / math.sqrt(n)
    return float(losses.mean()) + float(stats.t.ppf(confidence, n - 1)) * spread


@dataclass(frozen=True)
class _Shard:
    """Texts that are scored together: a batch of one pass, so that where it is done moves no bit.

    Attributes
    ----------
    tokens : Tensor
        ``(texts, length)``.
    prefix : int
    rows : list of int
        Places of the texts among all; they also seed random controls.
    policy : Policy
    dense : dict of str to Tensor
        What `_predict` found, without which there is nothing to compare with.
    scales : list of Tensor or None
        Of thresholds, decided beforehand.
    """

    tokens: Tensor
    prefix: int
    rows: list[int]
    policy: Policy = field(default_factory=Dense)
    dense: dict[str, Tensor] = field(default_factory=dict)
    scales: list[Tensor] | None = None


def _predict(model: LanguageModel, shard: _Shard) -> dict[str, Tensor]:
    """Return what the dense model predicts."""
    kept = _Likeliest(shard.tokens.shape)
    scores = score(model.model, Dense(), shard.tokens.tolist(), prefix=shard.prefix, observer=kept)
    surprisal = torch.stack([result.surprisal_bits for result in scores])
    return {"surprisal": surprisal, "index": kept.index, "log_p": kept.log_p}


def _compare(model: LanguageModel, shard: _Shard) -> dict[str, Tensor]:
    """Return the fields of `Cost`."""
    prefix, dense = shard.prefix, shard.dense
    kept = _Likeliest(shard.tokens.shape, dense["index"])
    scores = score(
        model.model,
        shard.policy,
        shard.tokens.tolist(),
        prefix=prefix,
        seeds=shard.rows,
        observer=kept,
        scales=shard.scales,
    )
    surprisal = torch.stack([result.surprisal_bits for result in scores])
    loss = (surprisal - dense["surprisal"])[:, prefix + 1 :].mean(1) * math.log(2)
    before, after = (with_rest(log_p[:, prefix:-1]) for log_p in (dense["log_p"], kept.log_p))
    return {
        "loss": loss,
        "divergence": (before.exp() * (before - after)).sum(-1).mean(1),
        "sparsity": torch.stack([result.sparsity[prefix:].mean() for result in scores]),
        "dropped": torch.tensor(
            [[share[prefix:].mean() for share in result.dropped.values()] for result in scores]
        ),
        "surprisal_bits": surprisal,
        "entropy_bits": torch.stack([result.entropy_bits for result in scores]),
    }


class Yardstick:
    """Texts of equal length with their dense predictions, against which policies are measured; every piece is kept.

    Parameters
    ----------
    places : Places
        Where texts are scored.
    tokens : Tensor
        ``(texts, length)``.
    prefix : int
        Dense tokens at the start of each.
    pieces : Store of Piece
    name : str
        Of the texts, in the names of the pieces.
    tick : callable
        Told how many tokens were processed.
    """

    def __init__(
        self,
        places: Places,
        tokens: Tensor,
        prefix: int,
        pieces: Pieces,
        name: str,
        tick: Callable[[int], object],
    ) -> None:
        self.places, self.prefix, self.tick = places, prefix, tick
        self.pieces, self.name = pieces, name
        rows = list(range(len(tokens)))
        size = max(1, BATCH_TOKENS // tokens.shape[1])
        self._shards = [
            # Indexing copies: a slice would take all texts along to another process.
            _Shard(tokens[part], prefix, part)
            for part in (rows[start : start + size] for start in rows[::size])
        ]
        _, self.dense = pieces.once(f"{name}-dense", lambda: self._each(_predict, self._shards))

    def measure(self, label: str, policy: Policy, load_from: Cost | None = None) -> Cost:
        """Score every text under a policy; ``label`` names it among the kept pieces.

        With ``load_from``, a policy with load takes one pass, its load from that cost's surprisal and entropy.
        """
        scales = None
        if load_from is not None:
            assert isinstance(policy, Clada)
            signals = zip(load_from.surprisal_bits, load_from.entropy_bits, strict=True)
            scales = [scheduled(policy, *pair, self.prefix, seed) for seed, pair in enumerate(signals)]
        _, found = self.pieces.once(
            f"{self.name}-{label}", lambda: self._each(_compare, self._under(policy, scales))
        )
        return Cost(**found)

    def _under(self, policy: Policy, scales: list[Tensor] | None) -> list[_Shard]:
        return [
            replace(
                shard,
                policy=policy,
                dense={name: values[shard.rows] for name, values in self.dense.items()},
                scales=None if scales is None else [scales[row] for row in shard.rows],
            )
            for shard in self._shards
        ]

    def _each(
        self, function: Callable[[LanguageModel, _Shard], dict[str, Tensor]], shards: list[_Shard]
    ) -> Piece:
        found = map_shards(self.places, function, shards)
        self.tick(sum(shard.tokens.numel() for shard in shards))
        return {}, {name: torch.cat([part[name] for part in found]) for name in found[0]}


def with_rest(log_p: Tensor) -> Tensor:
    """Append the log probability of everything else ``(…, k) → (…, k + 1)``."""
    rest = (1 - log_p.exp().sum(-1, keepdim=True)).clamp_min(1e-7).log()
    return torch.cat([log_p, rest], dim=-1)


class _Likeliest:
    """Keep log probabilities of each prediction's likeliest tokens, or of given ones."""

    def __init__(self, shape: torch.Size, index: Tensor | None = None) -> None:
        self.given = index
        self.index: Tensor = torch.empty(0) if index is None else index
        self.log_p = torch.empty(0)
        self.shape = shape

    def hidden(self, layer: int, rows: Tensor, positions: Tensor, a: Tensor) -> None:
        """Nothing to do."""

    def logits(self, rows: Tensor, positions: Tensor, logits: Tensor) -> None:
        """Take in predictions ``(n, vocabulary)``."""
        rows, positions = rows.cpu(), positions.cpu()
        log_p = logits.float().log_softmax(-1).cpu()
        if self.given is None:
            values, index = log_p.topk(min(LIKELIEST, log_p.shape[-1]))
            if not len(self.index):
                self.index = torch.zeros(*self.shape, index.shape[-1], dtype=torch.long)
            self.index[rows, positions] = index
        else:
            values = log_p.gather(-1, self.given[rows, positions])
        if not len(self.log_p):
            self.log_p = torch.zeros(*self.shape, values.shape[-1])
        self.log_p[rows, positions] = values
