"""The ladder on trials with planted effects: what was planted is found, what was not is not."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import DataError
from clada_neuro.synergies.human import Settings, climb, ladder
from clada_neuro.synergies.human_page import Ladder, human_results
from clada_neuro.synergies.questions import QUESTIONS, steps

QUESTION = replace(QUESTIONS["nieuwland2018_n400"], name="planted")
MODEL = {"model": "none", "dtype": "float32", "start_token": "none"}


def planted(product: float, seed: int = 3, n_items: int = 90, n_subjects: int = 10) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    names = ["surprisal_bits", "surprisal_bits_lag1", "sparsity_energy99", "adjustment_prev", "length",
             "zipf_frequency", "position"]  # fmt: skip
    words = pd.DataFrame(rng.standard_normal((2 * n_items, len(names))), columns=names)
    words["item"] = np.repeat(np.arange(n_items), 2).astype(str)
    words["stimulus"] = [f"{item}:{number % 2}" for number, item in enumerate(words["item"])]
    words["stimulus_effect"] = rng.normal(0, 0.3, len(words))
    trials = words.merge(pd.DataFrame({"subject": [f"s{n}" for n in range(n_subjects)]}), how="cross")
    noise = rng.normal(0, 2, len(trials))
    signal = (
        -0.8 * trials["surprisal_bits"] + product * trials["surprisal_bits"] * trials["sparsity_energy99"]
    )
    return trials.assign(n400_uv=signal + trials["stimulus_effect"] + noise)


@pytest.fixture(scope="module")
def found() -> Ladder:
    return ladder(planted(0.6), QUESTION, Settings(folds=5))


def test_planted_effects_are_found_and_predict_unseen_items(found):
    tests = found.tests.set_index("step")
    for step in ("surprisal", "surprisal x sparsity_energy99"):
        assert tests.loc[step, "p"] < 1e-4
        assert tests.loc[step, "held_out_low"] > 0
    assert tests.loc["surprisal x adjustment_prev", "p"] > 0.01


def test_coefficients_are_on_the_scale_of_the_planted_ones(found):
    estimates = found.coefficients.set_index(["step", "term"])["estimate"]
    assert estimates["surprisal", "surprisal_bits"] == pytest.approx(-0.8, abs=0.2)
    product = estimates["surprisal x sparsity_energy99", "surprisal_bits:sparsity_energy99"]
    assert product == pytest.approx(0.6, abs=0.2)


def test_the_product_stands_over_both_squares_and_differs_in_one_term():
    for step in steps(QUESTION.controls, cloze=True):
        assert set(step.smaller) < set(step.larger)
        if step.is_product:
            assert len(step.added) == 1
            assert sum("** 2" in term for term in step.smaller) == 2
    names = [step.name for step in steps(QUESTION.controls, cloze=True)]
    assert names[-3:] == ["cloze", "surprisal beyond cloze", "cloze beyond surprisal"]


def test_rows_with_gaps_are_counted_and_left_out_of_every_model():
    trials = planted(0.0)
    trials.loc[:4, "adjustment_prev"] = np.nan
    result = ladder(trials, QUESTION, Settings(folds=2))
    assert result.facts["n_incomplete"] == 5
    assert set(result.tests["n_obs"]) == {len(trials) - 5}


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match="lacks sparsity_energy99"):
        ladder(planted(0.0).drop(columns="sparsity_energy99"), QUESTION, Settings())


def test_an_unknown_question_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(DataError, match="did you mean 'frank2015_n400'"):
        climb(["frank2015_n40"], None, tmp_path, Settings())


def test_the_page_says_which_steps_hold_on_unseen_items(found, tmp_path):
    everything = Ladder(
        found.tests.assign(p_bh=found.tests["p"]), found.coefficients, {"planted": found.facts}
    )
    page = human_results(everything, MODEL, {}).write(tmp_path).read_text(encoding="utf-8")
    held = page.split("better on held-out rows: ")[1].split(". Below")[0]
    assert "surprisal x sparsity_energy99" in held
    assert "x adjustment_prev" not in held
    assert {path.name for path in tmp_path.iterdir()} >= {
        "human.png",
        "steps.csv",
        "coefficients.csv",
        "manifest.json",
    }


def test_directions_are_compared_with_the_registered_ones(found):
    everything = Ladder(
        found.tests.assign(p_bh=found.tests["p"]), found.coefficients, {"planted": found.facts}
    )
    assert "registered negative, as registered" in human_results(everything, MODEL, {}).shows
    turned = found.coefficients.assign(
        estimate=-found.coefficients["estimate"],
        ci_low=-found.coefficients["ci_high"],
        ci_high=-found.coefficients["ci_low"],
    )
    opposite = Ladder(everything.tests, turned, everything.facts)
    assert "registered negative, the opposite" in human_results(opposite, MODEL, {}).shows


def test_a_finished_ladder_is_read_back_and_gives_the_same_page(tmp_path, monkeypatch):
    monkeypatch.setattr("clada_neuro.synergies.human.trials_of", lambda *_: planted(0.0, n_items=12))
    climbed = [climb([QUESTIONS["nieuwland2018_n400"].name], None, tmp_path, Settings(folds=2))]
    monkeypatch.setattr("clada_neuro.synergies.human.ladder", None)
    climbed.append(climb([QUESTIONS["nieuwland2018_n400"].name], None, tmp_path, Settings(folds=2)))
    pages = [human_results(one, MODEL, {}).page() for one in climbed]
    assert pages[0] == pages[1]
    pd.testing.assert_frame_equal(climbed[0].tests, climbed[1].tests)
