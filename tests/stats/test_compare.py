"""Likelihood-ratio tests are refused where they do not apply; families are adjusted as R's p.adjust does."""

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.compare import adjust, compare
from clada_neuro.stats.mixed import estimate
from clada_neuro.stats.model import specify


def _ml(data: pd.DataFrame, right: str):
    return estimate(specify(data, f"n400 ~ {right}"), reml=False)


def test_reml_fits_are_refitted_and_order_is_free(paired: pd.DataFrame) -> None:
    small = estimate(specify(paired, "n400 ~ length + (1 | subject)"))
    large = estimate(specify(paired, "n400 ~ length + surprisal + (1 | subject)"))
    test = small.anova(large)
    assert test == large.anova(small)
    direct = (
        _ml(paired, "length + surprisal + (1 | subject)").loglik
        - _ml(paired, "length + (1 | subject)").loglik
    )
    assert test.chi2 == pytest.approx(2 * direct, abs=1e-6)
    assert (test.df, test.n_obs) == (1, len(paired))
    assert test.delta_aic == pytest.approx(2 - test.chi2)


@pytest.mark.parametrize(
    "one, other, reason",
    [
        ("length + (1 | subject)", "surprisal + sparsity + (1 | subject)", "fixed part"),
        ("length + (1 | subject)", "surprisal + (1 | subject)", "equally many"),
        ("length + (1 | lab)", "length + surprisal + (1 | subject)", "random part"),
    ],
)
def test_models_that_are_not_nested(paired: pd.DataFrame, one: str, other: str, reason: str) -> None:
    with pytest.raises(FitError, match=reason):
        compare(_ml(paired, one), _ml(paired, other))


def test_different_rows_are_refused(paired: pd.DataFrame) -> None:
    holes = paired.assign(surprisal=paired["surprisal"].where(paired["item"] != 3))
    with pytest.raises(FitError, match="different rows"):
        compare(_ml(holes, "length + (1 | subject)"), _ml(holes, "length + surprisal + (1 | subject)"))


def test_reparametrized_models_count_as_nested(paired: pd.DataFrame) -> None:
    data = paired.assign(total=paired["surprisal"] + paired["length"])
    test = compare(_ml(data, "total + (1 | subject)"), _ml(data, "surprisal + length + (1 | subject)"))
    assert test.df == 1


def test_random_part_test_says_it_is_at_the_boundary(paired: pd.DataFrame) -> None:
    test = compare(
        _ml(paired, "surprisal + (1 | subject)"), _ml(paired, "surprisal + (1 | subject) + (1 | item)")
    )
    assert any("boundary" in message for message in test.warnings)


def test_benjamini_hochberg_by_family() -> None:
    # R: p.adjust(c(.01, .02, .03, .5), "BH") is .04 .04 .04 .5; alone, .02 stays .02.
    tests = pd.DataFrame(
        {"component": ["n400"] * 4 + ["p600", "n400"], "p": [0.01, 0.02, 0.03, 0.5, 0.02, np.nan]}
    )
    found = adjust(tests, "component")
    assert found["p_bh"].to_numpy() == pytest.approx([0.04, 0.04, 0.04, 0.5, 0.02, np.nan], nan_ok=True)
    assert found["family_size"].tolist() == [4, 4, 4, 4, 1, 4]
    assert adjust(tests)["family_size"].tolist() == [5] * 6
