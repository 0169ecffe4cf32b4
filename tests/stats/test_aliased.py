"""Two random terms with the same groups are one: the redundant one is named and left out."""

import numpy as np
import pandas as pd
import pytest

from clada_neuro.stats.mixed import FitWarning, fit


@pytest.fixture(scope="module")
def trials() -> pd.DataFrame:
    """Every item has one text, so `stimulus` and `item` are the same groups under other names."""
    rng = np.random.default_rng(5)
    items = pd.DataFrame({"item": np.arange(24), "x": rng.normal(size=24), "own": rng.normal(0, 2, 24)})
    items["stimulus"] = "w" + items["item"].astype(str)
    crossed = pd.DataFrame({"subject": np.arange(20)}).merge(items, how="cross")
    return crossed.assign(y=crossed["x"] + crossed["own"] + rng.normal(0, 3, len(crossed)))


def test_the_redundant_term_is_named_and_the_fit_is_that_without_it(trials):
    with pytest.warns(
        FitWarning, match=r"\(1 \| stimulus\) groups the 480 rows exactly as \(1 \| item\) does"
    ):
        both = fit(trials, "y ~ x + (1 | subject) + (1 | item) + (1 | stimulus)")
    single = fit(trials, "y ~ x + (1 | subject) + (1 | item)")
    assert both.n_groups == {"subject": 20, "item": 24}
    assert both.loglik == single.loglik
    assert both.coefficients.equals(single.coefficients)
    assert both.formula == "y ~ x + (1 | subject) + (1 | item)"


def test_the_larger_of_two_terms_stays(trials):
    with pytest.warns(FitWarning, match=r"\(1 \| item\) was left out"):
        found = fit(trials, "y ~ x + (1 | item) + (1 + x | stimulus)")
    assert list(found.n_groups) == ["stimulus"]


def test_uncorrelated_slopes_and_other_groups_are_not_aliases(trials):
    halves = trials.assign(half=trials["item"] % 2, z=np.tile(np.arange(24.0), 20)[::-1])
    found = fit(halves, "y ~ x + (1 + z || item) + (1 | subject) + (1 | half:subject)")
    assert [block.group for block in found.design.blocks] == ["item", "item", "subject", "half:subject"]


def test_groups_that_coincide_in_the_rows_used_alone_are_found(trials):
    twice = trials.assign(context=np.where(trials["item"] == 3, trials["subject"] % 2, 0))
    twice["stimulus"] = twice["stimulus"] + twice["context"].astype(str)
    formula = "y ~ x + (1 | subject) + (1 | item) + (1 | stimulus)"
    assert list(fit(twice, formula).n_groups) == ["subject", "item", "stimulus"]
    twice.loc[(twice["item"] == 3) & (twice["context"] == 1), "y"] = np.nan
    with pytest.warns(FitWarning, match=r"\(1 \| stimulus\) was left out"):
        fit(twice, formula)
