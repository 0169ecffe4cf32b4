"""Information measures against hand computation, float64 and exact enumeration of a small language."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from local_tokenizers import KINDS, tokenizer_of

from clada_neuro.errors import ModelError
from clada_neuro.instrument.information import information
from clada_neuro.instrument.vocabulary import Vocabulary

NOT_INITIAL = torch.tensor([False])


def vocabulary(spaced: list[int], unspaced: list[int], ending: list[int]) -> Vocabulary:
    size = len(spaced) + len(unspaced) + len(ending)
    masks = [
        torch.zeros(size, dtype=torch.bool).index_fill(0, torch.tensor(ids), True)
        for ids in (spaced, unspaced, ending)
    ]
    return Vocabulary(*masks)


def test_values_by_hand():
    p = torch.tensor([[0.5, 0.25, 0.125, 0.125]])
    roles = vocabulary(spaced=[0, 1], unspaced=[2], ending=[3])
    found = information(p.log(), torch.tensor([1]), NOT_INITIAL, roles)
    assert found["surprisal_bits"] == pytest.approx(2)
    assert found["rank"] == 2
    assert found["entropy_bits"] == pytest.approx(1.75)
    assert found["renyi_half_bits"] == pytest.approx(2 * math.log2(sum(math.sqrt(x) for x in p[0])), abs=1e-5)
    assert found["entropy_boundary_bits"] == pytest.approx(
        -(2 / 3) * math.log2(2 / 3) - (1 / 3) * math.log2(1 / 3)
    )
    assert found["boundary"] == pytest.approx(-math.log2(0.875), abs=1e-5)


def test_at_the_beginning_of_a_text_words_have_no_leading_space():
    p = torch.tensor([[0.5, 0.25, 0.125, 0.125]])
    roles = vocabulary(spaced=[0], unspaced=[1, 2], ending=[3])
    found = information(p.log(), torch.tensor([1]), torch.tensor([True]), roles)
    assert found["boundary"] == pytest.approx(1, abs=1e-5)
    assert found["entropy_boundary_bits"] == pytest.approx(
        -(2 / 3) * math.log2(2 / 3) - (1 / 3) * math.log2(1 / 3), abs=1e-5
    )


def test_without_a_target_surprisal_and_rank_are_missing():
    found = information(torch.zeros(1, 3), torch.tensor([-1]), NOT_INITIAL, vocabulary([0], [1], [2]))
    assert np.isnan(found["surprisal_bits"]).all()
    assert np.isnan(found["rank"]).all()
    assert found["entropy_bits"] == pytest.approx(math.log2(3))


def test_impossible_tokens_carry_no_entropy():
    logits = torch.tensor([[0.0, 0.0, -math.inf]])
    found = information(logits, torch.tensor([0]), NOT_INITIAL, vocabulary([0], [1], [2]))
    assert found["entropy_bits"] == pytest.approx(1)
    assert found["surprisal_bits"] == pytest.approx(1)


def test_float32_keeps_five_digits_over_a_large_vocabulary():
    torch.manual_seed(0)
    logits = torch.randn(40, 50_000) * 4
    targets = torch.randint(0, 50_000, (40,))
    initial = torch.arange(40) == 3
    logits[5, 7:900] = -math.inf
    roles = vocabulary(list(range(30_000)), list(range(30_000, 49_990)), list(range(49_990, 50_000)))
    for stored in (logits, logits.bfloat16()):
        single = information(stored, targets, initial, roles, top_k=3)
        double = information(stored.double(), targets, initial, roles, top_k=3)
        for name, values in double.items():
            np.testing.assert_allclose(single[name], values, rtol=0, atol=2e-6, err_msg=name)


def test_a_row_that_several_tokens_follow_is_measured_for_each():
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(1))
    roles = vocabulary(list(range(20)), list(range(20, 49)), [49])
    of, targets = torch.tensor([2, 0, 2, 2]), torch.tensor([30, 4, -1, 5])
    initial = torch.tensor([True, False, False, False])
    found = information(logits, targets, initial, roles, 2, of)
    alone = information(logits[of].double(), targets, initial, roles, 2)
    for name, values in alone.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-6, err_msg=name)


def test_where_a_logit_is_missing_everything_but_the_rank_is():
    logits = torch.zeros(2, 600)
    logits[0, 300] = math.nan
    roles = vocabulary(list(range(400)), list(range(400, 599)), [599])
    found = information(logits, torch.tensor([1, 1]), torch.tensor([False, False]), roles)
    for name in ("surprisal_bits", "entropy_bits", "renyi_half_bits", "entropy_boundary_bits", "boundary"):
        assert np.isnan(found[name]).tolist() == [True, False], name


class SmallLanguage:
    """Seven tokens; each next token depends on the last; a word is one spaced token and at most two unspaced."""

    TOKENS = ("<end>", " a", " b", " ab", "a", "b", "c")
    ROLES = vocabulary(spaced=[1, 2, 3], unspaced=[4, 5, 6], ending=[0])

    def __init__(self, seed: int) -> None:
        weights = np.random.default_rng(seed).exponential(size=(7, 7))
        weights[5:, 4:] = 0  # after "b" and "c" a word ends
        weights[4, 4] = 0  # no "aa", so that words are finite
        self.p = weights / weights.sum(axis=1, keepdims=True)

    def next_words(self, last: int) -> dict[tuple[int, ...], float]:
        """Enumerate every continuation by its first word; the words' probabilities given that a word or end follows."""
        found: dict[tuple[int, ...], float] = {}
        stack = [((token,), self.p[last, token]) for token in range(4)]
        while stack:
            word, p = stack.pop()
            if p == 0:
                continue
            for token in range(7) if word != (0,) else []:
                if token >= 4:
                    stack.append(((*word, token), p * self.p[word[-1], token]))
                else:
                    found[word] = found.get(word, 0) + p * self.p[word[-1], token]
            if word == (0,):
                found[word] = p
        total = sum(found.values())
        return {word: p / total for word, p in found.items()}

    def corrected(self, last: int, word: tuple[int, ...]) -> float:
        """Return what the package's terms give for a word."""
        path = (last, *word)
        targets = torch.tensor([*word, -1])
        logits = torch.tensor(np.log(self.p[list(path)]))
        with np.errstate(divide="ignore"):
            found = information(logits, targets, torch.zeros(len(path), dtype=torch.bool), self.ROLES)
        return found["surprisal_bits"][:-1].sum() - found["boundary"][0] + found["boundary"][-1]


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("seed", range(3))
def test_corrected_surprisal_equals_exact_enumeration(seed):
    language = SmallLanguage(seed)
    for last in (1, 4, 5):
        exact = language.next_words(last)
        assert len(exact) > 15
        for word, p in exact.items():
            if word != (0,):
                assert language.corrected(last, word) == pytest.approx(-math.log2(p), abs=1e-9)


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_uncorrected_surprisal_is_not_a_distribution_over_words():
    language = SmallLanguage(0)
    words = [word for word in language.next_words(1) if word != (0,)]
    plain = sum(np.prod([language.p[a, b] for a, b in pairwise((1, *word))]) for word in words)
    end = language.p[1, 0] / language.p[1, :4].sum()
    corrected = sum(2 ** -language.corrected(1, word) for word in words)
    assert corrected + end == pytest.approx(1)
    assert plain > 1.02  # words exclude each other, and still add up to more than one


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_has_one_role(kind):
    tokenizer = tokenizer_of(kind)
    roles = Vocabulary.of(tokenizer, len(tokenizer) + 5, torch.device("cpu"))
    number = roles.spaced.int() + roles.unspaced.int() + roles.ending.int()
    assert number.tolist() == [1] * len(tokenizer) + [0] * 5
    assert roles.ending[tokenizer.eos_token_id]
    the = tokenizer(" the sailor", add_special_tokens=False).input_ids
    assert roles.spaced[the[0]]


@pytest.mark.parametrize("kind", ["byte-level", "metaspace, no dummy prefix", "byte fallback"])
def test_a_new_line_begins_a_word(kind):
    tokenizer = tokenizer_of(kind)
    roles = Vocabulary.of(tokenizer, len(tokenizer), torch.device("cpu"))
    line = tokenizer("a\nb", add_special_tokens=False).input_ids
    assert any(roles.spaced[token] for token in line[1:])


def test_a_tokenizer_without_offsets_is_refused():
    from transformers import ByT5Tokenizer

    with pytest.raises(ModelError, match="offsets"):
        Vocabulary.of(ByT5Tokenizer(), 300, torch.device("cpu"))
