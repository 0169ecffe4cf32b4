"""Whole documents serve one purpose each, and the bound counts documents, not texts."""

import math
import types

import pytest
import torch
from scipy import stats
from tiny_models import tiny_model

from clada_neuro.calibration import texts
from clada_neuro.calibration.certify import _by_document
from clada_neuro.calibration.loss import upper_bound
from clada_neuro.calibration.texts import divide, read_documents
from clada_neuro.errors import CalibrationError
from clada_neuro.models.loading import LanguageModel

LENGTH = 8


class Letters:
    """A tokenizer of one token a letter, ``a`` being 3."""

    def __call__(self, text, add_special_tokens=False):
        return types.SimpleNamespace(input_ids=[3 + ord(letter) - ord("a") for letter in text])


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setattr(texts, "LENGTH", LENGTH)
    return LanguageModel("tiny", tiny_model(), Letters(), 0, "abc")


def books(count: int, pieces: int) -> list[str]:
    """Documents of one letter each, so that a text shows where it is from."""
    return [chr(ord("a") + number) * (12 * LENGTH * pieces) for number in range(count)]


def sources(part: torch.Tensor) -> set[int]:
    assert (part[:, 0] == 0).all()
    assert (part[:, 1:] == part[:, 1:2]).all()
    return set((part[:, 1] - 3).tolist())


@pytest.mark.parametrize(("count", "texts_wanted"), [(12, 48), (20, 48), (20, 20), (13, 50)])
def test_no_document_is_in_two_parts(model, count, texts_wanted):
    found = divide(model, books(count, 10), texts_wanted * LENGTH, seed=1)
    parts = [sources(part) for part in (found.statistics, found.selection, found.certification)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == count
    total = sum(map(len, (found.statistics, found.selection, found.certification)))
    assert texts_wanted - 3 <= total <= texts_wanted
    assert found.certified_documents.tolist() == (found.certification[:, 1] - 3).tolist()
    # Every document gives its first text before another gives a second one.
    assert len(set(found.certified_documents[: len(parts[2])].tolist())) == len(parts[2])


def test_short_documents_give_what_they_have(model):
    documents = [*books(12, 1), *["x" * 5] * 30]
    found = divide(model, documents, 48 * LENGTH, seed=0)
    assert [len(part) for part in (found.statistics, found.selection, found.certification)] == [6, 3, 3]


def test_one_book_is_one_document(model, tmp_path):
    path = tmp_path / "book.txt"
    path.write_text("a" * 10_000, encoding="utf-8")
    documents = read_documents(path)
    assert documents == ["a" * 10_000]
    with pytest.raises(CalibrationError, match=r"1 of 1 documents .*\(a \.txt file is one document"):
        divide(model, documents, 1000, seed=0)


def test_the_bound_is_over_documents():
    losses = torch.tensor([0.1, 0.3, 0.2, 0.6])
    means = _by_document(losses, torch.tensor([7, 7, 4, 9]))
    assert sorted(means.tolist()) == pytest.approx([0.2, 0.2, 0.6])
    by_hand = 1 / 3 + stats.t.ppf(0.95, 2) * math.sqrt(2 * (2 / 15) ** 2 + (4 / 15) ** 2) / math.sqrt(2 * 3)
    assert upper_bound(means, 0.95) == pytest.approx(by_hand, rel=1e-5)
