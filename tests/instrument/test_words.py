"""Every token belongs to exactly one word, for any text, any spacing and any kind of tokenizer."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from local_tokenizers import KINDS, tokenizer_of

from clada_neuro.errors import StimulusError
from clada_neuro.instrument import activity, information
from clada_neuro.instrument.batching import Measures, split_windows
from clada_neuro.instrument.frames import MeasuredText, tokens_table, words_table
from clada_neuro.instrument.texts import read_texts
from clada_neuro.instrument.words import CONTEXT, assign_tokens, find_words

PIECES = st.one_of(
    st.sampled_from(
        ["the sailor", "wasn't", "Größe", "猫坐在", "👩‍🚀", "e\u0301", "кошка", "24,000", "café"]
    ),
    st.sampled_from(
        [" ", "  ", "\n", "\t", "\u00a0", "\u3000", ".", ",", '"', "…", "—", "(", ")", "'", "?!"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)


def stimulus(sentence: str, **columns) -> pd.DataFrame:
    return pd.DataFrame(
        [{"stimulus_id": "1", "item": "1", "condition": "a", "sentence": sentence, **columns}]
    )


def trace_with(values_of, frame: pd.DataFrame, kind: str, longest: int = 10_000):
    """Build the tables of one stimulus from invented measures: `values_of(n)` gives n numbers."""
    (text,) = read_texts(frame, tokenizer_of(kind))
    windows = []
    for window in split_windows(0, text.ids, 0, longest, text.scored):
        n = len(window.ids)
        predictions = {name: values_of(n) for name in information.MEASURES}
        predictions["rank"] = np.arange(1.0, n + 1)
        active = {name: values_of(n)[:, None] for name in activity.MEASURES}
        windows.append((window, Measures(predictions, active)))
    spaced = np.ones(len(tokenizer_of(kind)), bool)
    measured = [MeasuredText.of(text, windows, spaced)] if windows else []
    names = [tokenizer_of(kind).convert_ids_to_tokens(list(text.ids))] if windows else []
    tokens = tokens_table(measured, names)
    return text, tokens, words_table(tokens, [text], frame, "en", [np.full(len(text.words), np.nan)])


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(sentence=TEXTS)
def test_words_hold_every_token_once(kind, sentence):
    generator = np.random.default_rng(0)
    text, tokens, words = trace_with(lambda n: generator.uniform(0, 20, n), stimulus(sentence), kind)
    assert words["word"].tolist() == sentence.split()
    if len(words):
        total = tokens["surprisal_bits"].sum()
        np.testing.assert_allclose(words["surprisal_with_punct_bits"].fillna(0).sum(), total, atol=1e-9)
        assert tokens["word_index"].is_monotonic_increasing
    for word in text.words:
        assert text.text[word.start : word.end] == word.text


@settings(max_examples=40, deadline=None)
@given(sentence=TEXTS, context=TEXTS)
def test_offsets_without_white_space_give_the_same_words(sentence, context):
    frame = stimulus(sentence, context=context)
    words, expected = (
        trace_with(lambda n: np.random.default_rng(n).uniform(0, 20, n), frame, kind)[2]
        for kind in ("byte-level, trimmed", "byte-level")
    )
    pd.testing.assert_frame_equal(words, expected)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("byte-level")])
@pytest.mark.parametrize(("sentence", "place"), [("people 350", 1), ("people  350", 1), (" 350", 0)])
def test_a_space_of_its_own_belongs_to_the_number_after_it(kind, sentence, place):
    (text,) = read_texts(stimulus(sentence), tokenizer_of(kind))
    pieces = tokenizer_of(kind).convert_ids_to_tokens(list(text.ids))
    number = text.tokens.own & (text.tokens.word_index == place)
    own = [piece for piece, mine in zip(pieces, number, strict=True) if mine]
    assert own == ["Ġ"] * sentence.count(" ") + ["3", "5", "0"]


def test_white_space_inside_a_listed_word_is_its_own():
    words = find_words("ice  cream.", ["ice  cream."])
    assert assign_tokens("ice  cream.", [(0, 3), (3, 4), (4, 10), (10, 11)], words).own.tolist() == [
        True, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["byte-level", "metaspace, dummy prefix", "metaspace, no dummy prefix"])
@settings(max_examples=25, deadline=None)
@given(sentence=TEXTS)
def test_own_tokens_cover_the_core_of_their_word(kind, sentence):
    (text,) = read_texts(stimulus(sentence), tokenizer_of(kind))
    for number, word in enumerate(text.words):
        mine = (text.tokens.word_index == number) & text.tokens.own
        covered = {place for start, end in text.offsets[mine] for place in range(start, end)}
        shared = text.tokens.shared(len(text.words))[number]
        assert shared or covered.issuperset(range(word.core_start, word.core_end))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(sentence=TEXTS, context=TEXTS)
def test_a_context_is_left_out_of_the_tables(kind, sentence, context):
    _, tokens, words = trace_with(np.arange, stimulus(sentence, context=context), kind)
    assert words["word"].tolist() == sentence.split()
    if len(words):
        assert tokens["word_index"].notna().all()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10, deadline=None)
@given(sentence=TEXTS, longest=st.integers(4, 12))
def test_windows_score_every_token_once(kind, sentence, longest):
    text, tokens, _ = trace_with(np.arange, stimulus(sentence), kind, longest)
    assert tokens["token_index"].tolist() == list(range(len(text.ids)))
    if not text.ids:
        return
    assert (tokens["context_tokens"] < longest).all()
    assert (tokens["context_tokens"] <= tokens["token_index"] + 1).all()


def test_punctuation_is_attached_by_hand_count():
    sentence = '"Wait," she  said -- (not loudly).'
    words = find_words(sentence, sentence.split())
    assert [word.core for word in words] == ["Wait", "she", "said", "--", "not", "loudly"]
    spans = [
        (0, 1),
        (1, 5),
        (5, 7),
        (7, 11),
        (11, 12),
        (12, 17),
        (17, 20),
        (20, 22),
        (22, 25),
        (25, 32),
        (32, 34),
    ]
    found = assign_tokens(sentence, spans, words)
    assert found.word_index.tolist() == [0, 0, 0, 1, 2, 2, 3, 4, 4, 5, 5]
    assert found.own.tolist() == [False, True, False, True, True, True, True, False, True, True, False]


def test_a_token_that_reaches_into_the_next_word_says_so():
    words = find_words("猫坐在窗", ["猫", "坐在", "窗"])
    found = assign_tokens("猫坐在窗", [(0, 2), (2, 3), (3, 4)], words)
    assert found.word_index.tolist() == [0, 1, 2]
    assert found.last_word.tolist() == [1, 1, 2]
    assert found.shared(3).tolist() == [True, True, False]


def test_leftovers_between_listed_words_belong_to_the_word_before():
    words = find_words("well-known fact", ["well", "known", "fact"])
    found = assign_tokens("well-known fact", [(0, 4), (4, 5), (5, 10), (10, 15)], words)
    assert found.word_index.tolist() == [0, 0, 1, 2]
    assert found.own.tolist() == [True, False, True, True]


def test_context_and_sentence_are_separated_by_the_sentence_s_space():
    words = find_words("He left.", ["He", "left."], offset=6)
    found = assign_tokens("Rain. He left.", [(0, 4), (4, 5), (5, 8), (8, 13), (13, 14)], words, 5)
    assert found.word_index.tolist() == [CONTEXT, CONTEXT, 0, 1, 1]


def test_listed_words_must_be_in_the_sentence():
    with pytest.raises(StimulusError, match="'dog'"):
        find_words("The cat", ["The", "dog"])


def test_word_values_follow_their_rules():
    frame = stimulus("Nobody slept.", critical_index=1, cloze=0.3, regions=["subject", "verb"])
    numbers = iter(range(1, 100))
    text, tokens, words = trace_with(
        lambda n: np.full(n, next(numbers), float) + np.arange(n) / 10, frame, "byte-level"
    )
    own = tokens[text.tokens.own & (text.tokens.word_index == 1)]
    word = words.iloc[1]
    assert word["n_tokens"] == len(own) > 1
    for column in ("surprisal_bits",):
        assert word[column] == pytest.approx(own[column].sum())
    for column in ("entropy_bits", "entropy_boundary_bits", "renyi_half_bits", "rank", "context_tokens"):
        assert word[column] == own[column].iloc[0]
    assert word["entropy_next_bits"] == own["entropy_next_bits"].iloc[-1]
    assert word["sparsity_energy99"] == pytest.approx(own["sparsity_energy99"].mean())
    assert word["is_critical"]
    assert not words["is_critical"].iloc[0]
    assert (words["region"].tolist(), word["cloze"], word["length"]) == (["subject", "verb"], 0.3, 5)
    assert word["surprisal_bits_lag1"] == words["surprisal_bits"].iloc[0]
