"""What `analyses/27_brain_fit.py` counts, by hand: which words policies processed, what they lose, and what its page says."""

import pandas as pd
import pytest
from analysis_scripts import load

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
