"""Detectable effects against textbook figures and against simulated power."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from clada_neuro.stats.mixed import estimate
from clada_neuro.stats.model import specify
from clada_neuro.stats.power import detectable_effect, planned_effect, solve_effect


def test_normal_case_is_the_textbook_sum() -> None:
    # z(.975) + z(.80) = 1.95996 + 0.84162
    assert solve_effect(1.0, np.inf, 0.8, 0.05) == pytest.approx(2.80158, abs=1e-4)


def test_t_case_against_r() -> None:
    # R: power.t.test(n = 20, power = .8, type = "one.sample", strict = TRUE)$delta = 0.6604413, se = 1/sqrt(20)
    assert solve_effect(1 / np.sqrt(20), 19, 0.8, 0.05) == pytest.approx(0.66044, abs=1e-4)


@pytest.mark.parametrize("df, power, effect", [(1, 0.8, 16.334032), (1, 0.5, 8.596705), (2, 0.8, 5.653511)])
def test_very_few_degrees_of_freedom_against_r(df: float, power: float, effect: float) -> None:
    # R: uniroot(function(d) pt(qt(.975, df), df, d, lower = FALSE) + pt(-qt(.975, df), df, d) - power, c(0, 36))
    assert solve_effect(1.0, df, power, 0.05) == pytest.approx(effect, abs=1e-4)


@pytest.mark.parametrize("df, power, alpha", [(1, 0.95, 0.05), (1, 0.8, 0.001), (1.5, 0.999, 0.05)])
def test_an_effect_is_found_however_long_the_tail(df: float, power: float, alpha: float) -> None:
    effect, critical = solve_effect(1.0, df, power, alpha), stats.t.ppf(1 - alpha / 2, df)

    def found(u: float) -> float:  # the test's power given the residual variance, of which u is the quantile
        spread = np.sqrt(stats.chi2.ppf(u, df) / df)
        return stats.norm.cdf(effect - critical * spread) + stats.norm.cdf(-effect - critical * spread)

    assert integrate.quad(found, 0, 1, limit=200)[0] == pytest.approx(power, abs=1e-6)


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
