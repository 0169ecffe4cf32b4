"""Extreme trials and single levels: what is left out, and that a planted culprit is found."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.mixed import estimate
from clada_neuro.stats.model import specify
from clada_neuro.stats.sensitivity import influence, without_extremes

FORMULA = "n400 ~ surprisal + (1 | subject) + (1 | stimulus)"


def test_extreme_trials_are_counted_and_the_cutoff_is_stated(paired: pd.DataFrame) -> None:
    fit = estimate(specify(paired, FORMULA))
    y = paired["n400"]
    expected = (np.abs(y - y.mean()) > 3 * y.std()).sum()
    found = without_extremes(fit)
    assert found.n_left_out == expected
    assert found.cutoff == pytest.approx(3 * y.std())
    assert f"{expected} trials" in str(found)
    fixed = without_extremes(fit, cutoff=5.0)
    kept = paired[(y - y.mean()).abs() <= 5]
    by_hand = estimate(specify(kept, FORMULA)).coefficient("surprisal")
    row = fixed.table.set_index("term").loc["surprisal"]
    assert row["estimate_without"] == pytest.approx(by_hand["estimate"])
    assert row["shift"] == pytest.approx((by_hand["estimate"] - row["estimate"]) / row["se"])


def test_z_scores_are_not_redone_without_extremes(paired: pd.DataFrame) -> None:
    fit = estimate(specify(paired, FORMULA, standardize=True))
    assert without_extremes(fit, cutoff=5.0).fit.standardized == fit.standardized


def test_a_planted_culprit_has_the_largest_influence(paired: pd.DataFrame) -> None:
    data = paired.copy()
    culprit = data["subject"] == "s03"
    data.loc[culprit, "n400"] += 2.0 * (data.loc[culprit, "surprisal"] - 8)
    fit = estimate(specify(data, FORMULA))
    found = influence(fit, "subject", ["surprisal"])
    assert len(found) == 16
    assert found["level"].iloc[0] == "s03"
    without = estimate(specify(data[~culprit], FORMULA), reml=False).coefficient("surprisal")["estimate"]
    assert found["estimate"].iloc[0] == pytest.approx(without, rel=1e-4)
    laboratories = influence(fit, "lab")
    assert set(laboratories["level"]) == {"lab0", "lab1", "lab2", "lab3"}
    assert laboratories["n_obs"].sum() == 2 * len(data)


def test_unknown_factor(paired: pd.DataFrame) -> None:
    with pytest.raises(FitError, match="no column 'center'"):
        influence(estimate(specify(paired, FORMULA)), "center")


def test_finished_levels_are_those_of_the_same_predictors(paired: pd.DataFrame, tmp_path: Path) -> None:
    """Neither another unit nor another contrast changes the likelihood, and both change the coefficients."""
    influence(estimate(specify(paired, FORMULA)), "lab", ["surprisal"], folder=tmp_path)
    milli = paired.assign(surprisal=paired["surprisal"] * 1000)
    stored, fresh = (
        influence(estimate(specify(milli, FORMULA)), "lab", ["surprisal"], folder=folder)
        for folder in (tmp_path, None)
    )
    pd.testing.assert_frame_equal(stored, fresh)
    formula = "n400 ~ condition + (1 | subject) + (1 | stimulus)"
    for contrasts, term in ((None, "condition[T.low]"), ({"condition": "sum"}, "condition[S.high]")):
        fit = estimate(specify(paired, formula, contrasts=contrasts))
        assert set(influence(fit, "lab", [term], folder=tmp_path)["term"]) == {term}
