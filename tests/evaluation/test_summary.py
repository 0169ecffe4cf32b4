import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clada_neuro.errors import DataError
from clada_neuro.evaluation.score_table import markdown
from clada_neuro.evaluation.summary import against_chance, long_rows, paired_difference, summarise


def results(correct: dict[str, np.ndarray], task: str = "winogrande", start: str = "answer") -> pd.DataFrame:
    """Item results of several policies on one task."""
    frames = [
        pd.DataFrame(
            {
                "task": task,
                "item": range(len(right)),
                "policy": policy,
                "asked": 0.0 if policy == "dense" else 0.4,
                "start": start,
                "calibration": None if policy == "dense" else "one",
                "correct": right,
                "correct_norm": ~right,
                "log_probs": [[-1.0, -2.0]] * len(right),
                "answer_tokens": 4,
                "affected_tokens": 0 if policy == "dense" else 3,
                "policy_tokens": 5,
                "ffn_sparsity": 0.0 if policy == "dense" else 0.41,
            }
        )
        for policy, right in correct.items()
    ]
    return pd.concat(frames, ignore_index=True).sample(frac=1, random_state=0)


def drawn(n: int, seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    dense = generator.random(n) < 0.6
    return {
        "dense": dense,
        "clada": np.where(generator.random(n) < 0.1, ~dense, dense),
        "wina": np.where(generator.random(n) < 0.2, ~dense, dense),
    }


def test_the_interval_is_bonett_and_prices() -> None:
    # Bonett & Price 2012, equation 3, by hand: n = 40, n12 = 5, n21 = 1
    first = np.array([True] * 5 + [False] + [True] * 34)
    second = np.array([False] * 5 + [True] + [True] * 34)
    estimate, centre, error = paired_difference(first, second)
    assert estimate == pytest.approx(0.1)
    assert centre == pytest.approx((6 - 2) / 42)
    assert error == pytest.approx(np.sqrt((8 / 42 - (4 / 42) ** 2) / 42))


def test_the_interval_covers_where_few_items_differ() -> None:
    generator = np.random.default_rng(3)
    kinds = np.array([(True, False), (False, True), (True, True), (False, False)])
    hits = 0
    for _ in range(2000):
        pairs = kinds[generator.choice(4, size=100, p=[0.03, 0.01, 0.56, 0.40])]
        _, centre, error = paired_difference(pairs[:, 0], pairs[:, 1])
        hits += abs(0.02 - centre) <= 1.96 * error
    assert 0.94 < hits / 2000 <= 1


def test_scores_errors_and_differences() -> None:
    correct = drawn(200, 1)
    found = summarise(results(correct)).set_index(["task", "policy"])
    for policy, right in correct.items():
        row = found.loc["winogrande", policy]
        assert row["acc"] == row["score"] == pytest.approx(right.mean())
        assert row["stderr"] == pytest.approx(stats.sem(right.astype(float)))
        assert row["ffn_sparsity"] == (0 if policy == "dense" else pytest.approx(0.41))
        assert row["affected"] == (0 if policy == "dense" else 0.75)
        assert row["n"] == 200
    wina = found.loc["winogrande", "wina"]
    assert wina["minus_dense"] == pytest.approx(correct["wina"].mean() - correct["dense"].mean())
    assert wina["clada_minus"] == pytest.approx(correct["clada"].mean() - correct["wina"].mean())
    assert wina["minus_dense_low"] < wina["minus_dense"] < wina["minus_dense_high"]
    assert found.loc[[("winogrande", "dense")], "minus_dense"].isna().all()
    assert np.isnan(wina["acc_norm"])  # the harness defines none for this task


def test_the_mean_over_tasks_adds_their_variances() -> None:
    items = pd.concat([results(drawn(100, 1)), results(drawn(400, 2), "arc_easy")])
    found = summarise(items).set_index(["policy", "task"])
    for policy in ("dense", "clada"):
        rows, mean = found.loc[policy].loc[["winogrande", "arc_easy"]], found.loc[policy].loc["mean"]
        assert mean["n"] == 500
        assert mean["score"] == pytest.approx(rows["score"].mean())
        assert mean["stderr"] == pytest.approx(np.sqrt((rows["stderr"] ** 2).sum()) / 2)
    rows, mean = found.loc["clada"].loc[["winogrande", "arc_easy"]], found.loc["clada"].loc["mean"]
    widths = rows["minus_dense_high"] - rows["minus_dense_low"]
    width = mean["minus_dense_high"] - mean["minus_dense_low"]
    assert width == pytest.approx(np.sqrt((widths**2).sum()) / 2)
    # arc_easy counts by characters
    assert found.loc[("dense", "arc_easy"), "score"] == found.loc[("dense", "arc_easy"), "acc_norm"]


def test_completions_have_a_perplexity() -> None:
    items = results(drawn(50, 1), "lambada")
    items["log_probs"] = [[-2.0]] * len(items)
    assert summarise(items).set_index("task").loc["lambada", "perplexity"].unique() == np.exp(2.0)


def test_calibrations_and_items_do_not_mix() -> None:
    items = results(drawn(50, 1))
    mixed = items.assign(calibration=items["policy"].map({"clada": "one", "wina": "other"}))
    with pytest.raises(DataError, match="2 calibrations are mixed"):
        summarise(mixed)
    with pytest.raises(DataError, match="different items"):
        summarise(items[(items["policy"] != "wina") | (items["item"] > 3)])


def test_rows_and_markdown_say_the_same() -> None:
    summary = summarise(pd.concat([results(drawn(80, 1)), results(drawn(80, 1), start="middle")]))
    rows = long_rows(summary)
    json.dumps(rows, allow_nan=True)
    assert {"task", "policy", "start", "ffn_sparsity", "metric", "value", "stderr", "n"} == set(rows[0])
    scores = [row for row in rows if row["task"] == "mean" and row["metric"] == "score"]
    text = markdown(summary)
    assert len(scores) == 6 == text.count("\n") - 4
    assert text.splitlines()[2].startswith("|  | chance |  | 50.0 | 50.0 |")  # of winogrande's two answers
    assert text.splitlines()[3].startswith("|  | dense above chance, p |")
    for row in scores:
        assert f"{100 * row['value']:.1f} ± {100 * row['stderr']:.1f}" in text


@pytest.mark.parametrize(
    ("task", "n", "correct", "chance", "p"),
    [
        # R: binom.test(154, 300, 0.5, alternative = "greater")$p.value, and so on
        ("winogrande", 300, 154, 0.5, 0.343087712),
        ("arc_challenge", 300, 69, 0.25, 0.806183201),
        ("hellaswag", 300, 119, 0.25, 1.6506749e-08),
    ],
)
def test_above_chance_is_the_exact_binomial_test(
    task: str, n: int, correct: int, chance: float, p: float
) -> None:
    # scores are stored with five decimals
    found = against_chance(task, n, round(correct / n, 5))
    assert found["chance"] == pytest.approx(chance)
    assert found["above_chance_p"] == pytest.approx(p, rel=1e-6)


def test_a_completion_cannot_be_guessed() -> None:
    assert np.isnan(against_chance("lambada", 300, 0.3)["above_chance_p"])
    items = results(drawn(50, 1), "lambada")
    line = markdown(summarise(items)).splitlines()[3]
    assert [cell.strip() for cell in line.split("|")[4:6]] == ["", ""]


def test_the_page_says_which_dense_scores_are_at_chance() -> None:
    guessing = {"dense": np.arange(300) < 150}
    knowing = {"dense": np.arange(300) >= 240}  # arc_easy counts by characters: the others are right
    summary = summarise(pd.concat([results(guessing), results(knowing, "arc_easy")]))
    line = [cell.strip() for cell in markdown(summary).splitlines()[3].split("|")]
    assert line[4:6] == [".523", "<.001"]
