"""From text to token ids, as lm-evaluation-harness does it: the answer's tokens are those the context lacks."""

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from clada_neuro.errors import DataError
from clada_neuro.evaluation.requests import Request
from clada_neuro.evaluation.tasks import Item
from clada_neuro.models.limits import check_length
from clada_neuro.models.loading import LanguageModel


@dataclass(frozen=True)
class EncodedRequest:
    """One request of an item: which answers it holds, and how many tokens of the context did not fit."""

    request: Request
    answers: tuple[int, ...]
    dropped: int


def encode_pair(
    tokenizer: PreTrainedTokenizerBase, context: str, continuation: str
) -> tuple[list[int], list[int]]:
    """Return ids of context and continuation, split where the context alone ends; its last spaces go over."""
    bare = context.rstrip()
    whole = tokenizer(context + continuation, add_special_tokens=False).input_ids
    before = tokenizer(bare, add_special_tokens=False).input_ids
    return before, whole[len(before) :]


def encode_item(model: LanguageModel, item: Item, seed: int) -> list[EncodedRequest]:
    """Return the requests of an item, one for each different context.

    A context too long for the model loses its first tokens, as in the harness; the start token stays.

    Raises
    ------
    DataError
        If a context or an answer has no token.
    """
    head = [] if model.start_token_id is None else [model.start_token_id]
    groups: dict[str, list[int]] = {}
    for place, context in enumerate(item.contexts):
        groups.setdefault(context, []).append(place)
    found = []
    for context, places in groups.items():
        pairs = [encode_pair(model.tokenizer, context, f" {item.answers[place]}") for place in places]
        ids, answers = pairs[0][0], tuple(tuple(answer) for _, answer in pairs)
        dropped = max(0, len(head) + len(ids) + max(map(len, answers)) - 1 - model.max_context)
        kept = (*head, *ids[dropped:])
        check_length(
            model.model,
            len(head) + max(map(len, answers)) - 1,
            f"the longest answer to context {context[:40]!r}",
            "leave the item out or take a model with a longer context",
        )
        if not kept or not all(answers):
            raise DataError(f"context {context[:40]!r} or one of its answers has no token; use a start token")
        found.append(EncodedRequest(Request(kept, answers, seed), tuple(places), dropped))
    return found
