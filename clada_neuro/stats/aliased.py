"""Random terms that cannot be told apart: two grouping factors that divide the rows in the same way.

With one condition an item, items and stimuli are the same groups. The likelihood then depends on the sum of the two
variances alone, so any split of it fits equally well, and an optimizer returns one of them without a warning.
"""

from collections.abc import Sequence

import numpy as np

from clada_neuro.stats.design import Block
from clada_neuro.stats.formula import RandomTerm


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


def _holds(block: Block, other: Block) -> bool:
    """Return whether a block has the same groups as another and spans its columns."""
    if len(block.levels) != len(other.levels) or not _same_groups(block.codes, other.codes):
        return False
    both = np.linalg.matrix_rank(np.hstack([block.values, other.values]))
    return bool(both == block.values.shape[1])


def _same_groups(one: np.ndarray, other: np.ndarray) -> bool:
    pairs = one.astype(np.int64) * (int(other.max()) + 1) + other
    return len(np.unique(pairs)) == len(np.unique(one))
