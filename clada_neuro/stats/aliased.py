"""Random terms that cannot be told apart: two grouping factors that divide the rows in the same way.

With one condition an item, items and stimuli are the same groups. The likelihood then depends on the sum of the two
variances alone, so any split of it fits equally well, and an optimizer returns one of them without a warning.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from clada_neuro.stats.design import Block
from clada_neuro.stats.formula import RandomTerm

# Of the coarser factor's groups: fewer that the finer one divides hardly carry a variance.
_FEW = 0.05


def without_aliases(
    terms: Sequence[RandomTerm], blocks: Sequence[Block]
) -> tuple[list[RandomTerm], tuple[str, ...]]:
    """Return the random terms without the redundant ones, and a line for each of those.

    ``blocks`` are the evaluated ``terms``. A term is redundant when another one has the same groups and spans its
    effects; of two equal ones the first stays. The model that is left has the same likelihood and fixed effects.
    """
    out: dict[int, int] = {}
    for j, block in enumerate(blocks):
        for k, other in enumerate(blocks):
            if k != j and k not in out and _holds(other, block) and not (j < k and _holds(block, other)):
                out[j] = k
                break
    kept = [term for j, term in enumerate(terms) if j not in out]
    return kept, tuple(
        f"{terms[j]} groups the {len(blocks[j].codes)} rows exactly as {terms[k]} does, so their variances cannot be "
        f"told apart; {terms[j]} was left out"
        for j, k in out.items()
    )


def nearly_aliased(terms: Sequence[RandomTerm], blocks: Sequence[Block]) -> tuple[str, ...]:
    """Return a line for each two terms with the same columns whose groups differ in few: the coarser one may go."""
    lines = []
    for j, k in combinations(range(len(blocks)), 2):
        coarse, fine = sorted((j, k), key=lambda at: len(blocks[at].levels))
        n = len(blocks[coarse].levels)
        more = _n_pairs(blocks[j].codes, blocks[k].codes) - n
        if blocks[j].names == blocks[k].names and 0 < more <= _FEW * n:
            lines.append(
                f"{terms[coarse]} and {terms[fine]} divide the rows alike but for {more} of {n + more} groups, so their "
                f"variances are hardly told apart; leave {terms[coarse]} out"
            )
    return tuple(lines)


def _holds(block: Block, other: Block) -> bool:
    """Return whether a block has the same groups as another and spans its columns."""
    if len(block.levels) != len(other.levels) or not _same_groups(block.codes, other.codes):
        return False
    both = np.linalg.matrix_rank(np.hstack([block.values, other.values]))
    return bool(both == block.values.shape[1])


def _same_groups(one: np.ndarray, other: np.ndarray) -> bool:
    return _n_pairs(one, other) == len(np.unique(one))


def _n_pairs(one: np.ndarray, other: np.ndarray) -> int:
    return len(np.unique(one.astype(np.int64) * (int(other.max()) + 1) + other))
