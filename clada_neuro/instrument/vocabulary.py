"""Which tokens of a vocabulary begin a word, and which end the text.

A token begins a word when it adds white space after other text. The tokenizer's own decoder is asked, because a
space is written ``Ġ``, ``▁`` or not at all, depending on the tokenizer.
"""

from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

from clada_neuro.errors import ModelError


@dataclass(frozen=True)
class Vocabulary:
    """Token ids by their role, each a sorted tensor of shape (n,).

    Attributes
    ----------
    spaced : torch.Tensor
        Begin with white space, newline included: where a word begins and the one before it ends.
    unspaced : torch.Tensor
        Continue a word, or begin a text that has no leading white space.
    ending : torch.Tensor
        Control tokens such as end-of-text: they end a word and begin none.
    """

    spaced: torch.Tensor
    unspaced: torch.Tensor
    ending: torch.Tensor

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, n_logits: int, device: torch.device) -> "Vocabulary":
        """Sort the tokens of `tokenizer` into roles; logits beyond its vocabulary have none."""
        _require_offsets(tokenizer)
        size = min(len(tokenizer), n_logits)
        control = _control_ids(tokenizer)
        added = _added_text(tokenizer, size)
        spaced = [i for i in range(size) if i not in control and added[i][:1].isspace()]
        taken = control.union(spaced)
        unspaced = [i for i in range(size) if i not in taken]
        ending = sorted(i for i in control if i < size)
        return cls(
            *(torch.tensor(ids, dtype=torch.long, device=device) for ids in (spaced, unspaced, ending))
        )

    def begins_word(self, token_id: int) -> bool:
        """Return whether the token begins with white space."""
        place = torch.searchsorted(self.spaced, token_id)
        return bool(place < len(self.spaced) and self.spaced[place] == token_id)


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
    after = backend.decode_batch([[*anchor, i] for i in range(size)], skip_special_tokens=False)
    return [text[len(before) :] for text in after]
