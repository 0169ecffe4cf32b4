"""Calibration texts: documents cut to equal length and divided, document by document, by what they are used for."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from pathlib import Path

import torch
from torch import Tensor

from clada_neuro.artifacts import text_lines
from clada_neuro.errors import CalibrationError
from clada_neuro.models.limits import check_vocabulary
from clada_neuro.models.loading import LanguageModel

LENGTH = 256  # tokens of a text, start token included
_LEAST_DOCUMENTS = 12


@dataclass(frozen=True)
class CalibrationTexts:
    """Token ids ``(texts, LENGTH)``; the three parts have no document in common.

    Attributes
    ----------
    statistics : Tensor
        Thresholds, weights and means come from these (half).
    selection : Tensor
        Choices are compared on these (a quarter).
    certification : Tensor
        The bound is stated on these (a quarter).
    certified_documents : Tensor
        Which document each of the latter is from.
    """

    statistics: Tensor
    selection: Tensor
    certification: Tensor
    certified_documents: Tensor


def divide(
    language_model: LanguageModel, documents: Sequence[str], tokens: int, seed: int
) -> CalibrationTexts:
    """Cut at most ``tokens`` tokens from documents in random order, and deal whole documents to the three parts.

    A document gives one text; more only where there are too few documents, and then all give about as many. Texts of one
    document are alike: were they in two parts, the bound would be stated on what thresholds were fitted to.

    Raises
    ------
    CalibrationError
        If fewer than 12 documents are long enough.
    """
    order = list(range(len(documents)))
    random.Random(seed).shuffle(order)
    wanted = -(-tokens // LENGTH)
    pieces = partial(_piece, language_model, documents)
    chosen = list(islice((number for number in order if pieces(number, 0)), wanted))
    _check_number(len(chosen), len(documents))
    parts, numbers = [], []
    for begin, end in pairwise((0, 2, 3, 4)):
        own = chosen[begin * len(chosen) // 4 : end * len(chosen) // 4]
        rounds = ((number, place) for place in range(-(-wanted // len(chosen))) for number in own)
        cut = ((number, pieces(number, place)) for number, place in rounds)
        kept = list(islice(((number, ids) for number, ids in cut if ids), (end - begin) * wanted // 4))
        parts.append(torch.tensor([ids for _, ids in kept], device=language_model.device))
        numbers.append(torch.tensor([number for number, _ in kept]))
    statistics, selection, certification = parts
    return CalibrationTexts(statistics, selection, certification, numbers[-1])


def first_texts(language_model: LanguageModel, documents: Sequence[str]) -> Tensor:
    """Return one text ``(documents, LENGTH)`` of each document that is long enough.

    Raises
    ------
    CalibrationError
        If fewer than 12 documents are.
    """
    cut = [_piece(language_model, documents, number, 0) for number in range(len(documents))]
    found = [ids for ids in cut if ids]
    _check_number(len(found), len(documents))
    return torch.tensor(found, device=language_model.device)


def _check_number(long_enough: int, documents: int) -> None:
    if long_enough < _LEAST_DOCUMENTS:
        raise CalibrationError(
            f"{long_enough} of {documents} documents have {LENGTH} tokens, at least {_LEAST_DOCUMENTS} expected "
            "(a .txt file is one document, a .jsonl file holds one a line); give more or longer documents"
        )


def _piece(language_model: LanguageModel, documents: Sequence[str], number: int, place: int) -> list[int]:
    """Return the token ids of one text of a document, none where it is too short."""
    # about 4 characters a token: enough text for the cut, without tokenizing whole books
    text = documents[number][12 * LENGTH * place : 12 * LENGTH * (place + 1)]
    start = [] if language_model.start_token_id is None else [language_model.start_token_id]
    ids = start + language_model.tokenizer(text, add_special_tokens=False).input_ids
    check_vocabulary(language_model.model, ids, f"document {number + 1}")
    return ids[:LENGTH] if len(ids) >= LENGTH else []


def read_documents(path: Path) -> list[str]:
    """Read documents: lines of a ``.jsonl`` file with a field ``text``, else a text file as one.

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
        return [content]
    documents = []
    for number, line in enumerate(text_lines(content), start=1):
        try:
            documents.append(str(json.loads(line)["text"]))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise CalibrationError(
                f"'{path}', line {number}: an object with a field 'text' expected, {line[:40]!r} found"
            ) from error
    return documents
