"""Calibration texts: documents cut to equal length and divided, document by document, by what they are used for."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clada_neuro.errors import CalibrationError
from clada_neuro.models.loading import LanguageModel

LENGTH = 256  # tokens of a text, start token included
_LEAST_TEXTS = 12


@dataclass(frozen=True)
class Texts:
    """Token ids ``(texts, LENGTH)`` of disjoint documents.

    Attributes
    ----------
    statistics : Tensor
        Thresholds, weights and means come from these (half).
    selection : Tensor
        Choices are compared on these (a quarter).
    certification : Tensor
        The bound is stated on these (a quarter).
    """

    statistics: Tensor
    selection: Tensor
    certification: Tensor


def divide(language_model: LanguageModel, documents: Sequence[str], tokens: int, seed: int) -> Texts:
    """Cut at most ``tokens`` tokens from documents, one text a document, in random order.

    Raises
    ------
    CalibrationError
        If fewer than 12 documents are long enough.
    """
    order = list(range(len(documents)))
    random.Random(seed).shuffle(order)
    start = [] if language_model.start_token_id is None else [language_model.start_token_id]
    texts: list[list[int]] = []
    for number in order:
        if len(texts) * LENGTH >= tokens:
            break
        # about 4 characters a token: enough text for the cut, without tokenizing whole books
        piece = documents[number][: 12 * LENGTH]
        ids = start + language_model.tokenizer(piece, add_special_tokens=False).input_ids
        if len(ids) >= LENGTH:
            texts.append(ids[:LENGTH])
    if len(texts) < _LEAST_TEXTS:
        raise CalibrationError(
            f"{len(texts)} of {len(documents)} documents have {LENGTH} tokens, at least {_LEAST_TEXTS} expected; "
            "give more or longer texts"
        )
    table = torch.tensor(texts, device=language_model.device)
    half, quarter = len(table) // 2, len(table) // 4
    return Texts(table[:half], table[half : half + quarter], table[half + quarter :])


def split_documents(text: str) -> list[str]:
    """Split a long text, such as a book, into pieces long enough for one calibration text each."""
    size = 8 * LENGTH
    return [text[begin : begin + size] for begin in range(0, len(text), size)]
