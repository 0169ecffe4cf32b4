"""That a predictor varies over texts is seen in the data, whatever the columns are called."""

import numpy as np
import pandas as pd
import pytest

from clada_neuro.stats.mixed import estimate
from clada_neuro.stats.model import specify


@pytest.fixture(scope="module")
def trials() -> pd.DataFrame:
    """20 items in two contexts each, seen by 30 subjects in an order of their own."""
    rng = np.random.default_rng(3)
    texts = pd.DataFrame(
        {"item": np.repeat([f"i{k}" for k in range(20)], 2), "context": np.tile(["a", "b"], 20)}
    )
    texts["text"] = texts["item"] + texts["context"]
    texts["surprisal"], texts["own"] = rng.normal(size=40), rng.normal(0, 2, 40)
    people = pd.DataFrame({"subject": [f"s{k}" for k in range(30)], "age": rng.integers(20, 60, 30)})
    crossed = people.merge(texts, how="cross")
    crossed["position"] = np.concatenate([rng.permutation(40) for _ in range(30)])
    crossed["baseline"] = rng.normal(size=len(crossed))
    y = crossed["own"] + rng.normal(0, 5, len(crossed))
    return crossed.assign(y=y + rng.normal(0, 2, 30)[pd.factorize(crossed["subject"])[0]])


def _warnings(data: pd.DataFrame, formula: str) -> str:
    return " ".join(estimate(specify(data, formula)).warnings)


def test_a_column_of_any_name_can_name_the_texts(trials):
    renamed = trials.rename(columns={"text": "Satz-Nr", "item": "Rahmen", "subject": "Vp"})
    found = _warnings(renamed, "y ~ surprisal + (1 | Vp) + (1 | Rahmen)")
    assert "'surprisal' (40 distinct values over 40 levels of 'Satz-Nr')" in found
    assert "add (1 | Satz-Nr)" in found


def test_without_a_column_of_texts_the_values_themselves_tell(trials):
    bare = trials[["subject", "item", "surprisal", "y"]].rename(columns={"item": "frame"})
    found = _warnings(bare, "y ~ surprisal + (1 | subject) + (1 | frame)")
    assert "'surprisal' (40 distinct values over 40 stimuli)" in found
    assert "add a column 'stimulus' that names each text" in found


def test_a_random_intercept_at_their_level_covers_them(trials):
    named = trials.rename(columns={"text": "stimulus"})
    assert "varies over stimuli" in _warnings(named, "y ~ surprisal + (1 | subject) + (1 | item)")
    assert _warnings(named, "y ~ surprisal + (1 | subject) + (1 | item) + (1 | stimulus)") == ""
    assert "varies" not in _warnings(named, "y ~ surprisal + (1 | subject) + (1 | item:context)")


@pytest.mark.parametrize("name", ["position", "baseline", "age"])
def test_predictors_of_trials_and_covered_ones_of_subjects_are_left_alone(trials, name):
    assert "over stimuli" not in _warnings(trials, f"y ~ {name} + (1 | subject) + (1 | item)")


def test_means_of_one_row_a_text_are_left_alone(trials):
    means = trials.groupby(["item", "text", "surprisal"], as_index=False)["y"].mean()
    assert "over stimuli" not in _warnings(means, "y ~ surprisal + (1 | item)")


def test_a_condition_of_texts_needs_their_intercepts_or_slopes_over_their_items(trials):
    named = trials.rename(columns={"text": "stimulus"})
    found = _warnings(named, "y ~ context + (1 | subject) + (1 | item)")
    assert "'context' (2 levels over 40 stimuli) varies over stimuli, not over the 1200 trials" in found
    assert "varies" in _warnings(named, "y ~ context + (context | subject) + (1 | item)")
    for covered in ("(1 | item) + (1 | stimulus)", "(1 + context | item)", "(1 | item:context)"):
        assert "varies" not in _warnings(named, f"y ~ context + (1 | subject) + {covered}"), covered


def test_a_condition_of_trials_is_left_alone(trials):
    rng = np.random.default_rng(5)
    named = trials.rename(columns={"text": "stimulus"}).assign(task=rng.choice(["read", "name"], len(trials)))
    assert "varies" not in _warnings(named, "y ~ task + (1 | subject) + (1 | item)")


def test_words_of_stories_that_few_people_read_are_seen(trials):
    rng = np.random.default_rng(4)
    words = pd.DataFrame(
        {"story": np.repeat([f"s{k}" for k in range(6)], 50), "surprisal": rng.normal(8, 3, 300)}
    )
    people = pd.DataFrame({"subject": [f"p{k}" for k in range(12)]})
    read = people.merge(words, how="cross")
    read = read.assign(
        trial=rng.normal(size=len(read)),
        before=rng.integers(200, 900, len(read)),
        rt=rng.normal(400, 90, len(read)),
    )
    for share in (1.0, 0.5, 0.25):  # 12, 6 and 3 readers a word
        some = read.sample(frac=share, random_state=1)
        assert "'surprisal' (" in _warnings(some, "rt ~ surprisal + (1 | subject) + (1 | story)"), share
        assert "over stimuli" not in _warnings(some, "rt ~ trial + before + (1 | subject) + (1 | story)"), (
            share
        )
