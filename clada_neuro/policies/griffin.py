"""GRIFFIN: keep the neurons that the prompt used most (Dong, Chen & Chi 2024, arXiv 2404.01365).

Neuron score s_i = ‖Z̄[:, i]‖₂ over the prompt, Z̄ the rows a_t / ‖a_t‖₂; the k highest are kept for the whole
generation, in all matrices. The paper keeps half. Only the feed-forward blocks are reduced, as in the paper. Its
compaction of the kept rows is paid once a sequence and not counted in `ffn_sparsity`.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from clada_neuro.policies.declaration import Declaration, Timed
from clada_neuro.runtime.policy import NEURON, Policy, State
from clada_neuro.runtime.prefix import ranks


@dataclass(frozen=True, eq=False)
class Griffin(Policy):
    """Keep the top ``round((1 − sparsity)·intermediate)`` neurons of each sequence's prompt."""

    name: ClassVar[str] = "griffin"
    sites: ClassVar[tuple[str, ...]] = (NEURON,)

    sparsity: float = 0.5

    @property
    def uses_prefix(self) -> bool:
        """Always."""
        return True

    def select(self, layer: int, site: str, values: Tensor, state: State) -> Tensor:
        """Return the sequence's mask, the same for every token ``(batch, 1, intermediate)``."""
        neurons = values.shape[-1]
        dropped = neurons - round((1 - self.sparsity) * neurons)
        return (ranks(state.prefix.score(layer)) >= dropped)[:, None]


DECLARED = [
    Declaration(
        "griffin",
        40,
        lambda asked: Griffin(sparsity=asked.sparsity),
        calibrated=False,
        compared=True,
        timed=Timed(lambda passage: Griffin(sparsity=passage.sparsity)),
    )
]
