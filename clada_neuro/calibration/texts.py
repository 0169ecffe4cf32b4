"""Calibration texts: documents cut to equal length and divided, document by document, by what they are used for."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from clada_neuro.artifacts import text_lines
from clada_neuro.errors import CalibrationError
from clada_neuro.models.limits import check_vocabulary
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
        check_vocabulary(language_model.model, ids, f"document {number + 1}")
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


def read_documents(path: Path) -> list[str]:
    """Read documents: lines of a ``.jsonl`` file with a field ``text``, else a text file in pieces.

    Raises
    ------
    CalibrationError
        Naming the file and line that cannot be read.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CalibrationError(
            f"text '{path}' cannot be read: {error}; give a UTF-8 .txt or .jsonl file"
        ) from error
    if path.suffix != ".jsonl":
        return split_documents(content)
    documents = []
    for number, line in enumerate(text_lines(content), start=1):
        try:
            documents.append(str(json.loads(line)["text"]))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise CalibrationError(
                f"'{path}', line {number}: an object with a field 'text' expected, {line[:40]!r} found"
            ) from error
    return documents


def split_documents(text: str) -> list[str]:
    """Split a long text, such as a book, into pieces long enough for one calibration text each."""
    size = 8 * LENGTH
    return [text[begin : begin + size] for begin in range(0, len(text), size)]
