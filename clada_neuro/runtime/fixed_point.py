"""Score texts under load in whole passes instead of token by token.

Load depends on the policy's own predictions. Taking it from the pass before, a pass is right for one more token than
that one, and the rest is nearly right at once: load moves thresholds by a few per cent, which hardly moves the next
load. Two passes differ from stepping by less than masks that flip near their thresholds do; tests compare both.
Reanalysed tokens are dense here, too, but do not refresh the prefix statistics.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.prefix import Prefix
from clada_neuro.runtime.scoring import Observer, Score, score


def score_by_passes(
    model: PreTrainedModel,
    policy: Clada,
    sequences: Sequence[Sequence[int]],
    *,
    prefix: int,
    seeds: Sequence[int] | None = None,
    observer: Observer | None = None,
    passes: int = 2,
) -> list[Score]:
    """Score as `clada_neuro.runtime.scoring.score`, with load from the pass before; the first pass has none."""
    every_seed = list(range(len(sequences))) if seeds is None else list(seeds)
    scales = [torch.full((len(tokens),), policy.base_scale) for tokens in sequences]
    for number in range(passes):
        last = observer if number == passes - 1 else None
        scores = score(
            model, policy, sequences, prefix=prefix, seeds=every_seed, observer=last, scales=scales
        )
        scales = [
            scheduled(policy, found.surprisal_bits, found.entropy_bits, prefix, seed)
            for found, seed in zip(scores, every_seed, strict=True)
        ]
    return scores


def scheduled(policy: Clada, surprisal: Tensor, entropy: Tensor, prefix: int, seed: int) -> Tensor:
    """Return the threshold scale of each token of one text, from its surprisal and entropy ``(tokens,)`` in bits.

    The result is where the policy's thresholds are.
    """
    device = next(iter(policy.thresholds.values())).device
    surprisal, entropy = surprisal.to(device), entropy.to(device)
    count = max(0, len(surprisal) - prefix)
    state = policy.init(Prefix(count, device), torch.full((count,), seed))
    state.step = torch.arange(1, count + 1, device=device)
    load = policy.load(surprisal[prefix:], entropy[prefix:], state)
    dense = torch.zeros(len(surprisal) - count, device=device)
    return torch.cat([dense, policy.scale(load, policy.acts(load, state))])
