"""Rotary positions that follow the length of what is read: transformers decides anew by the longest text of each pass.

With `longrope` a text beyond the original context is rotated by other frequencies, from its first token on. So texts on the
two sides of that border cannot share a pass, and a text that is read in steps must be rotated for its whole length from
the beginning. (`dynamic` changes beyond `max_position_embeddings` only, more than any text that is read here has.)
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel

from clada_neuro.errors import ModelError

_BY_LENGTH = ("dynamic", "longrope")


def rotates_by_length(model: PreTrainedModel) -> bool:
    """Return whether the longest text of a pass decides how the positions of all its texts are rotated."""
    return any(part.get("rope_type") in _BY_LENGTH for part in _settings(model))


def regime(model: PreTrainedModel, tokens: int) -> int:
    """Return which rotation a text of so many tokens has: how many borders of the model it is beyond."""
    return sum(tokens > border for border in _borders(model))


def alike(model: PreTrainedModel, lengths: Sequence[int]) -> list[list[int]]:
    """Return the places of texts that may share a pass, in their order."""
    groups: dict[int, list[int]] = {}
    for place, tokens in enumerate(lengths):
        groups.setdefault(regime(model, tokens), []).append(place)
    return list(groups.values())


def check_one_rotation(model: PreTrainedModel, prompts: Sequence[int], new_tokens: int) -> None:
    """Raise `ModelError` if prompts of these lengths would be rotated anew while they grow, or each in its own way.

    What was read before would have to be read again, and would no longer be what the policy saw.
    """
    reach = [tokens + max(0, new_tokens - 1) for tokens in prompts]
    if len({regime(model, tokens) for tokens in (*prompts, *reach)}) > 1:
        border = ", ".join(map(str, sorted(_borders(model))))
        raise ModelError(
            f"prompts of {min(prompts)} to {max(prompts)} tokens with {new_tokens} new ones lie on both sides of {border} "
            "tokens, where this model rotates all positions anew (rope type longrope); lower max_new_tokens, or give "
            "prompts that are longer than that, apart from shorter ones"
        )


@contextmanager
def rotated_for(model: PreTrainedModel, tokens: int) -> Iterator[None]:
    """Let passes over parts of a text rotate as one pass over all its ``tokens`` does, while inside."""
    modules: list[Any] = [m for m in model.modules() if hasattr(m, "rope_type") and hasattr(m, "config")]
    turning = [(module, module.rope_type) for module in modules if rotates_by_length(model)]
    last, like = torch.tensor([[tokens - 1]], device=model.device), torch.zeros(1, device=model.device)
    for module, kinds in turning:
        for kind in kinds if isinstance(kinds, dict) else [None]:
            module(like, last, **({} if kind is None else {"layer_type": kind}))
        module.rope_type = dict.fromkeys(kinds, "default") if isinstance(kinds, dict) else "default"
    try:
        yield
    finally:
        for module, kinds in turning:
            module.rope_type = kinds


def _borders(model: PreTrainedModel) -> list[int]:
    found = (
        p.get("original_max_position_embeddings") for p in _settings(model) if p["rope_type"] == "longrope"
    )
    return [int(border) for border in found if border is not None]


def _settings(model: PreTrainedModel) -> list[dict[str, Any]]:
    """Return the rotary settings, of all layers or by their kind."""
    found: Any = getattr(model.config.get_text_config(), "rope_parameters", None) or {}
    return [part for part in (found, *found.values()) if isinstance(part, dict) and "rope_type" in part]
