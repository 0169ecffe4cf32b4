"""What `analyses/27_brain_fit.py` counts, by hand: which words policies processed, what they lose, and what its page says."""

from dataclasses import replace

import pandas as pd
import pytest
from analysis_scripts import load
from tiny_models import tiny_checkpoint

from clada_neuro import load_model
from clada_neuro.instrument.trace import trace
from clada_neuro.policies.griffin import Griffin

fit = load("27_brain_fit")
made, brain_page = load("_shared.brain_traces"), load("_shared.brain_page")
CELL = made.Cell("teal", 0.4)


def words(surprisal: list[float], sparsity: list[float]) -> pd.DataFrame:
    keys = {"stimulus_id": ["a", "a", "a", "b", "b", "b"], "word_index": [0, 1, 2, 0, 1, 2]}
    return pd.DataFrame({**keys, "surprisal_bits": surprisal, "ffn_sparsity": sparsity})


def test_a_word_counts_once_the_word_before_was_processed_too():
    early = words([0.0] * 6, [0, 0.4, 0.4, 0.4, 0.4, 0.4])
    late = words([0.0] * 6, [0, 0.4, 0.4, 0, 0, 0.4])
    assert list(fit.processed({CELL: early})) == [("a", 2), ("b", 1), ("b", 2)]
    assert list(fit.processed({CELL: early, made.Cell("wina", 0.4): late})) == [("a", 2)]


def test_loss_is_the_mean_rise_of_surprisal():
    dense, under = words([1.0] * 6, [0.0] * 6), words([1, 1, 2, 1, 1, 4], [0, 0.4, 0.5, 0, 0.4, 0.3])
    index = pd.MultiIndex.from_tuples([("a", 2), ("b", 2)], names=fit.WORD)
    first, second = fit.losses(dense, {CELL: under}, index).to_dict("records")
    assert (first["policy"], first["loss"]) == ("dense", 0)
    assert second["loss"] == pytest.approx(2)
    assert second["ffn_sparsity"] == pytest.approx(0.4)
    assert second["loss_low"] < 2 < second["loss_high"]


def test_a_policy_is_asked_for_what_it_reaches_and_for_its_reach_once():
    traces = made.Traces(None, made.Beyond(None, ()), {"clada": 0.54})
    cells = list(traces.cells(["clada", "griffin"], [0.4, 0.6, 0.7]))
    assert list(map(str, cells)) == ["clada-0.4", "clada-0.54", "griffin-0.4", "griffin-0.6", "griffin-0.7"]


@pytest.fixture
def traced(tmp_path, monkeypatch):
    """Traces of a tiny model, the texts that they are asked of, and a list of what was traced."""
    texts = pd.DataFrame(
        {"stimulus_id": ["a", "b"], "item": ["1", "2"], "condition": "c", "sentence": ["w3 w4 w5", "w6 w7 w8 w9"],
         "critical_word": None, "critical_index": None}
    )  # fmt: skip
    done = []
    monkeypatch.setattr(made.datasets, "load", lambda name: texts)
    monkeypatch.setattr(made, "cache_folder", lambda *parts: tmp_path.joinpath(*parts))
    monkeypatch.setattr(made, "trace", lambda *a, **k: done.append(k["out"].name) or trace(*a, **k))
    model = load_model(str(tiny_checkpoint(tmp_path / "llama", "llama")))
    return made.Traces(model, made.Beyond(model, ()), {}), texts, done


def test_a_trace_is_read_again_while_the_same_is_asked(traced):
    traces, texts, done = traced
    cell = made.Cell("griffin", 0.5)
    first = [traces.words("set", one) for one in (None, cell)]
    again = [traces.words("set", one) for one in (None, cell)]
    assert done == ["dense", "griffin-0.5"]
    for one, other in zip(first, again, strict=True):
        pd.testing.assert_frame_equal(one, other)
    texts.loc[1, "sentence"] = "w6 w7"
    assert list(traces.words("set", cell)["word"]) == ["w3", "w4", "w5", "w6", "w7"]
    assert done == ["dense", "griffin-0.5", "griffin-0.5"]


def test_another_model_or_policy_of_the_same_name_is_traced_anew(traced, monkeypatch):
    traces, _, done = traced
    cell = made.Cell("griffin", 0.5)
    traces.words("set", cell)
    other = replace(traces, model=replace(traces.model, weights_hash="f" * 16))
    other.words("set", cell)
    monkeypatch.setattr(made, "policy_for", lambda *asked: Griffin(sparsity=0.4))
    other.words("set", cell)
    assert done == ["griffin-0.5"] * 3


def test_texts_end_with_their_critical_word():
    texts = pd.DataFrame({"sentence": ["a b c d", "a b"], "critical_index": [1, None]})
    assert list(made.up_to_critical(texts)["sentence"]) == ["a b", "a b"]


def test_the_page_says_which_intervals_leave_zero_out():
    rows = [
        {"policy": policy, "asked": asked, "over_dense": low + 0.001, "over_dense_low": low, "over_dense_high": low + 0.002,
         "gain": 0.003, "gain_low": 0.001, "gain_high": 0.005, "ffn_sparsity": asked, "loss": 0.1, "loss_low": 0.0, "loss_high": 0.2,
         "estimate": 1.0, "se": 0.1, "n_rows": 10, "n_words": 5, "n_items": 4, "title": "N400", "texts": "devarda2023"}
        for policy, asked, low in (("dense", 0.0, 0.0), ("teal", 0.4, -0.004), ("clada", 0.4, -0.001), ("clada", 0.5, 0.001))
    ]  # fmt: skip
    page = brain_page.page(pd.DataFrame(rows))
    assert (
        "- N400: the dense model's surprisal gains +3.00 [+1.00, +5.00]. Worse than dense: teal at 0.4. Better"
        in page
    )
    assert "Better than dense: clada at 0.5." in page
    assert "With 3 comparisons" in page
