"""WiSparse, weight-aware mixed-granularity activation sparsity (Chen et al. 2026, arXiv 2602.14452).

Inputs of a matrix are scored by |x_j| times the norm of the weight column that they meet and kept from a threshold on. How much is
left out of each block is found by an evolutionary search over block budgets with a fixed mean, then shared over the matrices of
the block so that its output error is least. That much stands in the abstract; the paper itself was not at hand.

Chosen here: the norm enters as it is. The search is a (1 + λ) evolution: λ children of the present budgets each move a step
of sparsity from some blocks to as many others, drawn at random, and the child whose loss on calibration texts is least
takes over where that is less than before. Thresholds of a child are those of a grid of sparsities that blocks have in the dense model.
The search is done at one sparsity; budgets at others are in proportion. Shares of gate and up (one mask) and of down are
then found as for TEAL, block by block with the earlier ones sparse. Attention, which the paper also sparsifies, stays dense.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from clada_neuro.models.ffn import FFN
from clada_neuro.models.watching import watching
from clada_neuro.passes.fitting import Passes
from clada_neuro.passes.measure import DENSE_PREFIX, quantile
from clada_neuro.passes.pieces import Piece
from clada_neuro.policies.declaration import Declaration, PolicyRequest
from clada_neuro.policies.teal import best_split, fit_blocks
from clada_neuro.runtime.policy import HIDDEN, INPUT
from clada_neuro.runtime.scoring import score
from clada_neuro.runtime.thresholds import ThresholdPolicy

_AT = 0.4  # sparsity of the search
_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)  # at which thresholds of children are known
_RANGE = (0.1, 0.55)  # of a block's budget, which others can follow in proportion
_STEP, _MOVES = 0.05, (1, 2, 3)  # of sparsity, and from how many blocks it is moved
_GENERATIONS, _CHILDREN = 10, 2
_TEXTS = 4  # on which children are compared
_SEED = 0


@dataclass(frozen=True, eq=False)
class WiSparse(ThresholdPolicy):
    """Thresholds on |x_j|·‖W[:, j]‖₂ and |a_i|·‖W_d[:, i]‖₂."""

    name: ClassVar[str] = "wisparse"
    sites: ClassVar[tuple[str, ...]] = (INPUT, HIDDEN)


def child(parent: Sequence[float], source: random.Random) -> list[float]:
    """Return budgets of which some blocks give a step to others; the mean stays."""
    moved = list(parent)
    for _ in range(source.choice(_MOVES)):
        giving = [block for block, value in enumerate(moved) if value - _STEP >= _RANGE[0] - 1e-9]
        taking = [block for block, value in enumerate(moved) if value + _STEP <= _RANGE[1] + 1e-9]
        one, other = source.choice(giving), source.choice(taking)
        moved[one] -= _STEP
        moved[other] += _STEP
    return moved


def evolved(
    parent: list[float], loss: Callable[[Sequence[float]], float], generations: int, children: int, seed: int
) -> list[float]:
    """Return the budgets that a (1 + λ) evolution from ``parent`` ends with."""
    source, least = random.Random(seed), loss(parent)
    for _ in range(generations):
        tried = [child(parent, source) for _ in range(children)]
        losses = [loss(one) for one in tried]
        if min(losses) < least:
            least, parent = min(losses), tried[losses.index(min(losses))]
    return parent


def _levels(passes: Passes) -> dict[str, Tensor]:
    """Return thresholds of every block at every level of sparsity, ``(levels, layers)`` a site, 0 at 0."""
    rule = WiSparse({}, passes.norms)
    tables = {site: torch.zeros(1 + len(_LEVELS), len(passes.layers)) for site in WiSparse.sites}

    def note(ffn: FFN, x: Tensor) -> None:
        x = x.reshape(*passes.tokens.shape, -1)[:, DENSE_PREFIX:].flatten(0, 1)
        values = {INPUT: x, HIDDEN: ffn.hidden(x)}
        for place, level in enumerate(_LEVELS):
            for site, share in zip(WiSparse.sites, best_split(ffn, rule, level, x), strict=True):
                scores = rule.score(ffn.layer, site, values[site])
                tables[site][1 + place, ffn.layer] = quantile(scores, share)

    with watching(passes.layers, x=note), torch.no_grad():
        passes.model(passes.tokens, logits_to_keep=1, use_cache=False)
    passes.tick(passes.tokens.numel())
    return tables


def _budgets(passes: Passes) -> Piece:
    """Search the budgets of all blocks at `_AT`."""
    tables, texts = _levels(passes), passes.tokens[:_TEXTS].tolist()

    def loss(budgets: Sequence[float]) -> float:
        points = torch.tensor(budgets) / _LEVELS[0]
        low = points.floor().long().clamp(max=len(_LEVELS) - 1)  # of the table, whose first row is 0
        every = torch.arange(len(budgets))
        thresholds = {
            site: torch.lerp(table[low, every], table[low + 1, every], points - low).to(passes.tokens.device)
            for site, table in tables.items()
        }
        found = score(passes.model, WiSparse(thresholds, passes.norms), texts, prefix=DENSE_PREFIX)
        passes.tick(passes.tokens[:_TEXTS].numel())
        return sum(float(one.surprisal_bits[DENSE_PREFIX + 1 :].mean()) for one in found)

    start = [_AT] * len(passes.layers)
    return {}, {"budgets": torch.tensor(evolved(start, loss, _GENERATIONS, _CHILDREN, _SEED))}


def _fit(passes: Passes) -> Piece:
    _, found = passes.piece("wisparse-budgets", lambda: _budgets(passes))
    share = found["budgets"] / _AT

    def at(sparsity: float) -> dict[str, Tensor]:
        like = WiSparse({}, passes.norms)
        return fit_blocks(passes, {}, (sparsity * share).tolist(), like=like)[1].thresholds

    return {}, {**passes.at_each_sparsity("wisparse", at), "wisparse_budgets": found["budgets"]}


def _make(asked: PolicyRequest) -> WiSparse:
    return WiSparse(asked.fitted("wisparse", *WiSparse.sites), asked.norms)


DECLARED = [Declaration("wisparse", 94, _make, _fit)]
