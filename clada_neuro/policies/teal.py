"""TEAL, training-free activation sparsity (Liu et al. 2024, arXiv 2408.14690).

Elements of a matrix's input are kept when their magnitude reaches a threshold, the quantile at that matrix's sparsity;
sparsities are set layer by layer so that the layer's output error is least. Here gate and up share one mask of x (they
read the same rows), and so do queries, keys and values. In scope ``ffn`` attention, which the paper also sparsifies, stays dense; in scope ``all``
shares grow as in the paper's algorithm (`clada_neuro.passes.layer_error`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import Tensor

from clada_neuro.models.ffn import FFN
from clada_neuro.passes.error import block_error
from clada_neuro.passes.fitting import Passes
from clada_neuro.passes.layer_error import layer_shares
from clada_neuro.passes.measure import FittedPass, empty_table, quantile
from clada_neuro.passes.pieces import Piece
from clada_neuro.policies.declaration import Declaration, PolicyRequest, Timed
from clada_neuro.runtime.policy import ALL, HIDDEN, INPUT, SCOPES, SITES, reads
from clada_neuro.runtime.thresholds import ThresholdPolicy

_SPLITS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


@dataclass(frozen=True, eq=False)
class Teal(ThresholdPolicy):
    """Thresholds on |x_j| and |a_i|; there are no weights."""

    name: ClassVar[str] = "teal"
    sites: ClassVar[tuple[str, ...]] = (INPUT, HIDDEN)


def fit_blocks(
    passes: Passes,
    weights: Mapping[str, Tensor],
    sparsity: float | Sequence[float],
    *,
    like: ThresholdPolicy | None = None,
) -> tuple[dict[str, Tensor], FittedPass]:
    """Find in each block the split between input and hidden site with the least output error.

    Rows are scored by |value| · weight and later blocks see each block's mean loss added back; where a rule is given, rows
    are scored and dropped as it does, and nothing is added. ``sparsity`` is that of all blocks, or one of each.

    Returns
    -------
    dict of site to Tensor
        Shares of rows to drop, ``(layers,)``.
    FittedPass
        The thresholds that drop them, and the blocks' mean losses.
    """
    dropped = empty_table(Teal.sites, len(passes.layers), passes.tokens.device)
    rule = like or Teal({}, weights)
    budgets = [sparsity] * len(passes.layers) if isinstance(sparsity, float) else sparsity

    def choose(layer: int, site: str, seen: Tensor) -> Tensor:
        if site == INPUT:
            pair = best_split(passes.layers[layer], rule, budgets[layer], seen)
            dropped[INPUT][layer], dropped[HIDDEN][layer] = pair
        return quantile(rule.score(layer, site, seen), float(dropped[site][layer]))

    return dropped, passes.thresholds(Teal.sites, choose, weights, compensated=like is None, like=like)


def tables_like(passes: Passes, rule: ThresholdPolicy) -> Callable[[float], Mapping[str, Tensor]]:
    """Return what finds a rule's thresholds at a sparsity, its shares of rows set block by block."""
    return lambda sparsity: fit_blocks(passes, {}, sparsity, like=rule)[1].thresholds


def splits(ffn: FFN, sparsity: float) -> list[tuple[float, float]]:
    """Return the shares of inputs and neurons to try, which together leave ``sparsity`` of the block's bytes out."""
    bytes_of = reads(ffn, Teal.sites)
    part = ffn.hidden_size * bytes_of.row[INPUT] / bytes_of.total
    pairs = [(share, (sparsity - part * share) / (1 - part)) for share in _SPLITS]
    return [pair for pair in pairs if 0 <= pair[1] <= 1]


def best_split(ffn: FFN, rule: ThresholdPolicy, sparsity: float, x: Tensor) -> tuple[float, float]:
    """Return the shares of inputs and neurons with the least error of the block's output."""

    def error(pair: tuple[float, float]) -> float:
        return block_error(ffn, x, *pair, partial(rule.score, ffn.layer), partial(rule.masked, ffn.layer))

    return min(splits(ffn, sparsity), key=error)


def _fit(passes: Passes) -> Piece:
    if passes.scope == ALL:
        return {}, passes.at_each_sparsity("teal", lambda sparsity: _fit_layers(passes, sparsity))

    def at(sparsity: float) -> dict[str, Tensor]:
        _, found = fit_blocks(passes, {}, sparsity)
        assert found.bias is not None
        return {**found.thresholds, "bias": found.bias}

    return {}, passes.at_each_sparsity("teal", at)


def _fit_layers(passes: Passes, sparsity: float) -> Mapping[str, Tensor]:
    shares = layer_shares(passes, "teal", {}, sparsity)

    def choose(layer: int, site: str, seen: Tensor) -> Tensor:
        return quantile(seen.abs().float(), float(shares[site][layer]))

    return passes.thresholds(SITES[ALL], choose).thresholds


def _make(asked: PolicyRequest, *, compensated: bool) -> Teal:
    mean = asked.mean_of_dropped("teal") if compensated else None
    return Teal(asked.fitted("teal", *asked.sites), {}, mean)


DECLARED = [
    Declaration(
        "teal",
        70,
        partial(_make, compensated=False),
        _fit,
        compared=True,
        timed=Timed(lambda passage: Teal(passage.thresholds(passage.dropped, {}), {})),
        scopes=SCOPES,
    ),
    Declaration("teal-compensated", 100, partial(_make, compensated=True)),
]
