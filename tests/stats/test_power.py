"""Detectable effects against textbook figures and against simulated power."""

import numpy as np
import pandas as pd
import pytest

from clada_neuro.stats.mixed import estimate
from clada_neuro.stats.model import specify
from clada_neuro.stats.power import detectable_effect, planned_effect, solve_effect


def test_normal_case_is_the_textbook_sum() -> None:
    # z(.975) + z(.80) = 1.95996 + 0.84162
    assert solve_effect(1.0, np.inf, 0.8, 0.05) == pytest.approx(2.80158, abs=1e-4)


def test_t_case_against_r() -> None:
    # R: power.t.test(n = 20, power = .8, type = "one.sample", strict = TRUE)$delta = 0.6604413, se = 1/sqrt(20)
    assert solve_effect(1 / np.sqrt(20), 19, 0.8, 0.05) == pytest.approx(0.66044, abs=1e-4)


def test_fewer_degrees_of_freedom_need_larger_effects() -> None:
    effects = [solve_effect(1.0, df, 0.8, 0.05) for df in (5, 20, 80, np.inf)]
    assert effects == sorted(effects, reverse=True)


def test_of_a_fit(paired: pd.DataFrame) -> None:
    fit = estimate(specify(paired, "n400 ~ surprisal + (1 | subject) + (1 | stimulus)"))
    found = detectable_effect(fit, "surprisal")
    row = fit.coefficient("surprisal")
    assert found.effect == pytest.approx(solve_effect(row["se"], row["df"], 0.8, 0.05))
    assert "power 0.80" in str(found)


def test_more_subjects_help_until_stimuli_limit(paired: pd.DataFrame) -> None:
    stimuli = paired.drop_duplicates("stimulus")[["item", "stimulus", "surprisal"]]
    formula = "n400 ~ surprisal + (1 | subject) + (1 | stimulus)"
    sds = {"subject": 2.0, "stimulus": 2.0, "residual": 5.0}
    few, many = (
        planned_effect(stimuli, formula, "surprisal", n, sds=sds, simulations=5).effect for n in (6, 40)
    )
    floor = solve_effect(2.0 / np.sqrt(len(stimuli)), len(stimuli) - 2, 0.8, 0.05)
    assert many < few
    assert many > 0.8 * floor
