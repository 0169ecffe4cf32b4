"""Which token stands before the first word.

A causal model gives the first token of a text no probability unless something precedes it. The choice moves
surprisal: for SmolLM2-Instruct the nominal beginning-of-sequence token is the chat marker ``<|im_start|>``, and
replacing it by the document separator ``<|endoftext|>`` moves first words by 2.6 bits on average.
"""

import re

from transformers import PreTrainedTokenizerBase

from clada_neuro.errors import ModelError, did_you_mean

# Markers of chat templates: they announce a speaker, not the beginning of a text.
_CHAT_MARKER = re.compile(
    r"im_start|im_end|start_header|end_header|eot_id|start_of_turn|end_of_turn|INST|user|"
    r"assistant|system|<\|end\|>|<\|sep\|>",
    re.IGNORECASE,
)
_DOCUMENT_SEPARATORS = ("<|endoftext|>", "<|begin_of_text|>", "<s>", "<bos>", "</s>", "<|end_of_text|>")


def resolve_start_token(tokenizer: PreTrainedTokenizerBase, choice: str | int | None = "auto") -> int | None:
    """Return the id of the start token.

    Parameters
    ----------
    choice : "auto", "none", None, int or str
        ``auto`` takes the tokenizer's beginning-of-sequence token, unless that is a chat marker; then a document
        separator in the vocabulary, then the end-of-sequence token under the same condition, else none. A number
        (also as text) is a token id; any other text is a token of the vocabulary.

    Raises
    ------
    ModelError
        If the id or token is not in the vocabulary.
    """
    if choice is None or choice == "none":
        return None
    if choice == "auto":
        return _automatic(tokenizer)
    if isinstance(choice, int) or choice.removeprefix("-").isdecimal():
        return _checked_id(tokenizer, int(choice))
    vocabulary = tokenizer.get_vocab()
    if choice not in vocabulary:
        special = [str(token) for token in tokenizer.all_special_tokens]
        raise ModelError(
            f"start token '{choice}' is not in the vocabulary{did_you_mean(choice, special)}; "
            f"special tokens are {', '.join(special) or 'none'}"
        )
    return vocabulary[choice]


def _checked_id(tokenizer: PreTrainedTokenizerBase, token_id: int) -> int:
    if not 0 <= token_id < len(tokenizer):
        raise ModelError(f"start token id {token_id} given, 0 to {len(tokenizer) - 1} expected")
    return token_id


def _automatic(tokenizer: PreTrainedTokenizerBase) -> int | None:
    vocabulary = tokenizer.get_vocab()
    candidates = (tokenizer.bos_token, *_DOCUMENT_SEPARATORS, tokenizer.eos_token)
    for token in candidates:
        if token is not None and token in vocabulary and not _CHAT_MARKER.search(token):
            return vocabulary[token]
    return None
