"""Pairs of sequences that share a stretch of tokens, and how similar the model's activity is after it.

    first    a a a a | s s s s | b b b | t
    second   c c c c | s s s s | d d d | u          u = t or another token

Inside a prefix that two sequences share, a causal model does the same by definition, so activity is compared after the
sequences have parted: at one position, and one distance from where they parted, whatever the length of the stretch.
Before the stretch the sequences differ, and only the longest stretch reaches back to the start token.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clada_neuro.instrument.activity import active_set, adjustment, jaccard
from clada_neuro.models.ffn import FFN
from clada_neuro.models.limits import check_length
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.registry import ffn_layers
from clada_neuro.models.watching import watching
from clada_neuro.progress import ProgressBar

_TOKENS = 1024  # of one pass


@dataclass(frozen=True)
class PairLayout:
    """Where sequences part and are compared.

    `position` is the place of the compared token, from 0; `distance` how many differing tokens stand before it.
    """

    position: int = 64
    distance: int = 4

    @property
    def length(self) -> int:
        """Tokens of a sequence."""
        return self.position + 1

    @property
    def parting(self) -> int:
        """Place of the first differing token, which is also the longest stretch."""
        return self.position - self.distance

    def share(self, first: np.ndarray, second: np.ndarray, stretch: int, *, same_target: bool) -> np.ndarray:
        """Return `second` with a stretch of `first` before the parting, and with its target where asked for."""
        changed = second.copy()
        part = slice(self.parting - stretch, self.parting)
        changed[part] = first[part]
        if same_target:
            changed[self.position] = first[self.position]
        return changed

    def is_valid(self, first: np.ndarray, second: np.ndarray, stretch: int, *, same_target: bool) -> bool:
        """Return whether a pair shares exactly the stretch (and the target), and nothing next to it by chance."""
        differs = first != second
        before = stretch == self.parting or differs[self.parting - stretch - 1]
        return bool(
            before and differs[self.parting : self.position].all() and differs[self.position] != same_target
        )


def similarity(
    first: np.ndarray, second: np.ndarray, model: LanguageModel, *, progress: bool = False
) -> dict[str, np.ndarray]:
    """Compare the activity of the last tokens of paired sequences, each read after the start token.

    Parameters
    ----------
    first, second : numpy.ndarray of int, shape (pairs, length)

    Returns
    -------
    dict of numpy.ndarray, each of shape (pairs, layers)
        ``cosine`` of e = |a|·c, and ``jaccard`` of the active sets (99 % of energy).
    """
    head = [] if model.start_token_id is None else [model.start_token_id]
    check_length(
        model.model, len(head) + first.shape[1], "a sequence with its start token", "take shorter ones"
    )
    step = max(1, _TOKENS // (2 * (first.shape[1] + len(head))))
    cosines, overlaps = [], []
    with ProgressBar(total=len(first), desc="pairs", disable=not progress) as bar:
        for begin in range(0, len(first), step):
            both = np.concatenate([first[begin : begin + step], second[begin : begin + step]])
            ids = torch.tensor([[*head, *row] for row in both.tolist()], device=model.device)
            pairs = len(both) // 2
            layers = [(e[:pairs], e[pairs:]) for e in last_contributions(ids, model)]
            cosines.append(torch.stack([1 - adjustment(x, y) for x, y in layers], dim=1))
            sets = [(active_set(x)[1], active_set(y)[1]) for x, y in layers]
            overlaps.append(torch.stack([jaccard(x, y) for x, y in sets], dim=1))
            bar.update(pairs)
    return {"cosine": torch.cat(cosines).cpu().numpy(), "jaccard": torch.cat(overlaps).cpu().numpy()}


@torch.inference_mode()
def last_contributions(ids: Tensor, model: LanguageModel) -> list[Tensor]:
    """Return e = |a|·c of the last token of every row, one tensor (rows, intermediate) a layer."""
    found: list[Tensor] = []

    def keep(ffn: FFN, a: Tensor) -> None:
        a = a.reshape(len(ids), -1, ffn.intermediate_size)[:, -1]
        found.append(a.float().abs() * ffn.neuron_norms.to(a.device))

    with watching(ffn_layers(model.model), a=keep):
        model.model.base_model(input_ids=ids, use_cache=False)
    return found


def dealt(number: int, stretches: tuple[int, ...], rng: np.random.Generator) -> Iterator[tuple[int, bool]]:
    """Deal stretches and targets to `number` pairs in random order, as evenly as it goes."""
    cells = [(stretch, same) for stretch in stretches for same in (False, True)]
    for place in rng.permutation(number):
        yield cells[place % len(cells)]
