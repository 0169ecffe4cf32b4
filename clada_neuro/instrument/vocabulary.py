"""Which tokens of a vocabulary begin a word, and which end the text.

A token begins a word when it adds white space after other text. The tokenizer's own decoder is asked, because a
space is written ``Ġ``, ``▁`` or not at all, depending on the tokenizer.
"""

from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import torch
from transformers import PreTrainedTokenizerBase

from clada_neuro.errors import ModelError

_AT_ONCE = 2048  # tokens; fifty thousand lists at a time keep the garbage collector busy


@dataclass(frozen=True)
class Vocabulary:
    """The role of every token; each attribute is a mask of shape (n_logits,).

    Attributes
    ----------
    spaced : torch.Tensor of bool
        Begins with white space, newline included: a word begins and the one before it ends.
    unspaced : torch.Tensor of bool
        Continues a word, or begins a text that has no leading white space.
    ending : torch.Tensor of bool
        A control token such as end-of-text: it ends a word and begins none.
    """

    spaced: torch.Tensor
    unspaced: torch.Tensor
    ending: torch.Tensor

    @cached_property
    def begins(self) -> torch.Tensor:
        """`spaced` as ones and zeros in float32, which multiply faster than truth values."""
        return self.spaced.float()

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, n_logits: int, device: torch.device) -> "Vocabulary":
        """Sort the tokens of `tokenizer` into roles; logits beyond its vocabulary have none.

        Decoding a whole vocabulary takes half a second, so what was found is kept as long as the tokenizer.
        """
        _require_offsets(tokenizer)
        control = frozenset(_control_ids(tokenizer))
        asked = (len(tokenizer), control, n_logits, device)
        if tokenizer not in _kept or _kept[tokenizer][0] != asked:
            _kept[tokenizer] = asked, cls._sorted(tokenizer, control, n_logits, device)
        return _kept[tokenizer][1]

    @classmethod
    def _sorted(
        cls, tokenizer: PreTrainedTokenizerBase, control: frozenset[int], n_logits: int, device: torch.device
    ) -> "Vocabulary":
        texts = _added_text(tokenizer, min(len(tokenizer), n_logits))
        role = [2 if token in control else 0 if text[:1].isspace() else 1 for token, text in enumerate(texts)]
        role += [3] * (n_logits - len(role))
        roles = torch.tensor(role) == torch.arange(3)[:, None]
        return cls(*roles.to(device))


_kept: WeakKeyDictionary[PreTrainedTokenizerBase, tuple[tuple, Vocabulary]] = WeakKeyDictionary()


def _require_offsets(tokenizer: PreTrainedTokenizerBase) -> None:
    if not tokenizer.is_fast:
        raise ModelError(
            f"tokenizer {type(tokenizer).__name__} gives no character offsets, which words are found by; "
            "use the model's fast tokenizer (tokenizer.json)"
        )


def _control_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return (special | set(tokenizer.all_special_ids)) - {tokenizer.unk_token_id}


def _added_text(tokenizer: PreTrainedTokenizerBase, size: int) -> list[str]:
    """Return what each token adds to a text that it follows."""
    backend = tokenizer.backend_tokenizer
    anchor = tokenizer("a", add_special_tokens=False).input_ids
    before = backend.decode(anchor, skip_special_tokens=False)
    added: list[str] = []
    for start in range(0, size, _AT_ONCE):
        ids = [[*anchor, i] for i in range(start, min(start + _AT_ONCE, size))]
        added += [text[len(before) :] for text in backend.decode_batch(ids, skip_special_tokens=False)]
    return added
