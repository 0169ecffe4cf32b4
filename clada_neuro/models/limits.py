"""What a model can read: so many tokens at once, of its own vocabulary. Beyond either it fails deep inside, or runs on."""

from collections.abc import Sequence
from typing import Any

from transformers import DynamicCache, PreTrainedModel

from clada_neuro.errors import ModelError

# What configurations call the longest input.
_LONGEST = ("max_position_embeddings", "n_positions", "max_seq_len", "context_length")
UNLIMITED = 2048  # tokens at once of a model that declares no limit, as recurrences


def context_window(model: PreTrainedModel) -> int:
    """Return the longest input in tokens, start token included."""
    config = model.config.get_text_config()
    longest = int(next((size for name in _LONGEST if (size := getattr(config, name, None))), UNLIMITED))
    return longest - (_padding_places(model) if is_masked(model) else 0)


def _padding_places(model: PreTrainedModel) -> int:
    """Return how many positions no token has: RoBERTa and its kin count from the one after the padding's."""
    places = [part for name, part in model.named_modules() if name.endswith("position_embeddings")]
    padding = next(
        (part.padding_idx for part in places if getattr(part, "padding_idx", None) is not None), None
    )
    return 0 if padding is None else int(padding) + 1


def is_masked(model: PreTrainedModel) -> bool:
    """Return whether the model predicts masked tokens from both sides."""
    return type(model).__name__.endswith("ForMaskedLM")


def refuse_masked(model: PreTrainedModel) -> None:
    """Raise `ModelError` if the model does not read from left to right."""
    if is_masked(model):
        raise ModelError(
            f"model type '{model.config.model_type}' predicts masked words from both sides: it can be traced, but neither "
            "generates nor continues a text, nor runs under policies; use a causal language model"
        )


def sliding_window(model: PreTrainedModel) -> int | None:
    """Return how far back the nearest-sighted layer looks; None where every layer sees all."""
    layers: list[Any] = DynamicCache(config=model.config).layers
    return min((int(layer.sliding_window) for layer in layers if layer.is_sliding), default=None)


def check_length(
    model: PreTrainedModel, tokens: int, what: str, instead: str, room: int | None = None
) -> None:
    """Raise `ModelError` if the model does not read from left to right, or ``what`` has more tokens than it reads.

    It reads its window, or here ``room``; ``instead`` says what to do.
    """
    refuse_masked(model)
    window = context_window(model)
    longest = window if room is None else min(window, room)
    if tokens > longest:
        raise ModelError(f"{what}: {tokens} tokens, this model reads at most {longest}; {instead}")


def check_vocabulary(model: PreTrainedModel, ids: Sequence[int], what: str) -> None:
    """Raise `ModelError` if a token has no embedding: tokenizers may know more tokens than their model."""
    embeddings: Any = model.get_input_embeddings()
    size = int(embeddings.weight.shape[0])
    highest = max(ids, default=0)
    if highest >= size:
        raise ModelError(
            f"{what}: token {highest} of the tokenizer has no embedding, the model knows 0 to {size - 1}; leave out "
            "tokens that were added to the tokenizer alone, or resize the model's embeddings and train them"
        )
