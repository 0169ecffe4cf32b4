"""TEAL, training-free activation sparsity (Liu et al. 2024, arXiv 2408.14690).

Elements of a matrix's input are kept when their magnitude reaches a threshold, the quantile at that matrix's sparsity;
sparsities are set block by block so that the block's output error is least. Here gate and up share one mask of x (they
read the same rows), and attention, which the paper also sparsifies, stays dense.
"""

from dataclasses import dataclass
from typing import ClassVar

from clada_neuro.runtime.policy import HIDDEN, INPUT
from clada_neuro.runtime.thresholds import ThresholdPolicy


@dataclass(frozen=True, eq=False)
class Teal(ThresholdPolicy):
    """Thresholds on |x_j| and |a_i|; there are no weights."""

    name: ClassVar[str] = "teal"
    sites: ClassVar[tuple[str, ...]] = (INPUT, HIDDEN)
