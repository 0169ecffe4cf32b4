"""What the public functions return shows itself in a notebook, with stimulus text escaped."""

import warnings

import numpy as np
import pandas as pd
import pytest

from clada_neuro import align, fit, generate, load_model, read_stimuli, synergy, trace
from clada_neuro.erp.simulate import simulate_trials
from clada_neuro.numerals import fixed
from clada_neuro.policies.dense import Dense


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture(scope="module")
def traced(model):
    nouns = ["dog", "cat", "tree", "king", "<i>pen</i>", "boat"]
    rows = [
        {"item": f"{number}", "condition": kind, "sentence": f"The {noun} was {kind}.", "critical_word": noun}
        for number, noun in enumerate(nouns)
        for kind in ("old", "vast")
    ]
    return trace(read_stimuli(pd.DataFrame(rows)), model, progress=False)


@pytest.fixture(scope="module")
def aligned(traced):
    rng = np.random.default_rng(0)
    words = traced.words[traced.words["is_critical"]].assign(
        surprisal_bits=rng.normal(10, 2, 12),
        sparsity_energy99=rng.normal(0.5, 0.1, 12),
        adjustment_prev=rng.normal(0.4, 0.1, 12),
    )
    trials = simulate_trials(words, n_subjects=12, latin_square=False).trials
    lost = trials.head(2).assign(stimulus_id="unknown")
    return align(words, pd.concat([trials, lost]))


def test_a_model_names_its_start_token(model):
    assert "<th>start token</th><td>&lt;|endoftext|&gt;</td>" in model._repr_html_()


def test_a_trace_counts_and_escapes(traced):
    shown = traced._repr_html_()
    assert "12 stimuli" in shown
    assert "<i>pen" not in shown


def test_an_alignment_says_what_was_lost(aligned):
    shown = aligned._repr_html_()
    assert "2 not" in shown
    assert "no such text among the stimuli" in shown
    assert "n400_uv" in shown


def test_a_continuation_shows_its_text_and_counts_its_tokens(model):
    (found,) = generate(model, "The king <i>", Dense(), max_new_tokens=3)
    table = found.tokens()
    assert table["token_id"].tolist() == found.token_ids
    assert table["ffn_sparsity"].fillna(-1).tolist() == [0, 0, -1]
    assert "[3 tokens, mean ffn_sparsity 0.000]" in found._repr_html_()


def test_a_fit_and_a_synergy_show_their_coefficients(aligned):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = fit(aligned.trials, "n400_uv ~ surprisal_bits + (1 | subject) + (1 | stimulus)")
        found = synergy(aligned.trials, "n400_uv", ("surprisal_bits", "sparsity_energy99"), folds=3)
    assert f"{fitted.coefficient('surprisal_bits')['estimate']:.4f}" in fitted._repr_html_()
    shown = found._repr_html_()
    assert fixed(found.r2_synergy, 5) in shown
    assert "χ²(1)" in found.test._repr_html_()
    assert "3 folds of items" in shown
