"""The simulator's design, its determinism, and its planted effects found again by least squares and statsmodels."""

import time

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from clada_neuro import tables
from clada_neuro.erp.simulate import DEFAULT_EFFECTS, Effects, simulate_trials
from clada_neuro.errors import DataError


def quiet(fixed: dict[str, float], **sds: float) -> Effects:
    """Return effects whose random parts are zero unless named."""
    none = {"subject_sd": 0.0, "item_sd": 0.0, "stimulus_sd": 0.0, "residual_sd": 0.0}
    return Effects(fixed, **{**none, **sds})


def test_trials_follow_the_contract_and_say_that_they_are_simulated(critical_words):
    simulation = simulate_trials(critical_words())
    tables.validate(simulation.trials, "trials")
    assert simulation.trials["simulated"].all()
    assert "SIMULATED" in simulation.describe()
    assert simulation.truth()["simulated"].all()
    assert len(simulation.trials) == simulation.n_planned - simulation.n_missing


def test_latin_square_shows_each_item_once_and_balances_versions(critical_words):
    trials = simulate_trials(critical_words(12, 3), n_subjects=9, missing=0).trials
    assert (trials.groupby(["subject", "item"]).size() == 1).all()
    assert (trials.groupby("stimulus_id").size() == 3).all()
    assert (trials.groupby(["subject", "condition"]).size() == 4).all()


def test_without_latin_square_everybody_sees_every_text(critical_words):
    trials = simulate_trials(critical_words(5), n_subjects=4, latin_square=False, missing=0).trials
    assert (trials.groupby("subject")["stimulus_id"].nunique() == 15).all()


def test_items_may_have_different_numbers_of_versions(critical_words):
    words = critical_words(4, 3).iloc[:-1]
    trials = simulate_trials(words, n_subjects=6, missing=0).trials
    assert (trials.groupby("subject").size() == 4).all()
    assert (trials[trials["item"] == "i3"].groupby("stimulus_id").size() == 3).all()


def test_same_seed_same_trials_other_seed_other_trials(critical_words):
    words = critical_words(10)
    first, again = (simulate_trials(words, seed=3).trials for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert not first["n400_uv"].equals(simulate_trials(words, seed=4).trials["n400_uv"])


def test_noise_free_amplitudes_equal_the_formula(critical_words):
    words = critical_words(20)
    fixed = {"surprisal_bits": -1.0, "surprisal_bits:sparsity_energy99": 0.5, "surprisal_bits^2": 0.25}
    simulation = simulate_trials(words, effects={"n400_uv": quiet(fixed)}, missing=0)
    z = words.set_index("stimulus_id")[["surprisal_bits", "sparsity_energy99"]].transform(
        lambda x: (x - x.mean()) / x.std()
    )
    surprisal, sparsity = z["surprisal_bits"], z["sparsity_energy99"]
    expected = -surprisal + 0.5 * surprisal * sparsity + 0.25 * surprisal**2
    found = simulation.trials.set_index("stimulus_id")["n400_uv"]
    np.testing.assert_allclose(found, expected.loc[found.index], atol=1e-12)


@pytest.mark.parametrize("level", ["subject", "item", "stimulus"])
def test_each_random_intercept_belongs_to_its_level_and_has_its_sd(critical_words, level: str):
    effects = {"n400_uv": quiet({}, **{f"{level}_sd": 2.0})}
    simulation = simulate_trials(critical_words(300, 2), effects=effects, n_subjects=300, missing=0, seed=5)
    groups = simulation.trials.groupby(level)["n400_uv"]
    assert groups.std().max() < 1e-12
    assert groups.mean().std() == pytest.approx(2.0, rel=0.15)


def test_planted_effects_are_recovered_by_a_mixed_model(critical_words):
    words = critical_words(40, 2)
    stated = {"n400_uv": Effects({"surprisal_bits": -1.5}, item_sd=1.5, stimulus_sd=0, residual_sd=4)}
    simulation = simulate_trials(words, effects=stated, n_subjects=30, seed=2)
    data = simulation.trials.merge(words[["stimulus_id", "surprisal_bits"]])
    mean, sd = simulation.scales.loc["surprisal_bits", ["mean", "sd"]]
    data["z"] = (data["surprisal_bits"] - mean) / sd
    vc = {"subject": "0 + C(subject)", "item": "0 + C(item)"}
    data["all"] = 1
    fit = smf.mixedlm("n400_uv ~ z", data, groups="all", vc_formula=vc, re_formula="0").fit(method="powell")
    assert abs(fit.params["z"] + 1.5) < 2.5 * fit.bse["z"]
    assert np.sqrt(fit.scale) == pytest.approx(4, rel=0.05)


def test_missing_trials_are_counted_and_spread(critical_words):
    simulation = simulate_trials(critical_words(), missing=0.2, n_subjects=30)
    assert simulation.n_missing == simulation.n_planned - len(simulation.trials)
    assert simulation.n_missing / simulation.n_planned == pytest.approx(0.2, abs=0.03)


def test_it_is_fast(critical_words):
    words = critical_words(125, 2)
    start = time.perf_counter()
    simulate_trials(words, n_subjects=40, latin_square=False)
    assert time.perf_counter() - start < 1


def test_a_missing_predictor_column_names_the_likely_one(critical_words):
    words = critical_words(5).rename(columns={"surprisal_bits": "surprisal_bit"})
    with pytest.raises(DataError, match=r"lacks column 'surprisal_bits' \(did you mean 'surprisal_bit'\?\)"):
        simulate_trials(words)


def test_a_missing_value_names_its_stimulus(critical_words):
    words = critical_words(5)
    words.loc[7, "surprisal_bits"] = np.nan
    with pytest.raises(DataError, match="missing for 1 stimuli, the first is stimulus_id=t7"):
        simulate_trials(words)


def test_all_words_instead_of_critical_words_is_an_error(critical_words):
    words = critical_words(5)
    with pytest.raises(DataError, match=r"stimulus_id=t0 stands in 2 rows .*is_critical"):
        simulate_trials(pd.concat([words, words.head(1)]))


def test_a_constant_predictor_is_an_error(critical_words):
    with pytest.raises(DataError, match="'adjustment_prev' does not vary"):
        simulate_trials(critical_words(5).assign(adjustment_prev=0.5))


def test_default_effects_state_both_components():
    assert set(DEFAULT_EFFECTS) == {"n400_uv", "p600_uv"}
