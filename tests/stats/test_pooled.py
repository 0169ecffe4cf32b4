"""Pooling over language models bounds its standard error instead of pretending independence."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clada_neuro.errors import FitError
from clada_neuro.stats.mixed import estimate
from clada_neuro.stats.model import specify
from clada_neuro.stats.pooled import pool


def _entry(data: pd.DataFrame) -> dict:
    model = specify(data, "n400 ~ surprisal + (1 | subject) + (1 | stimulus)", name="m", standardize=True)
    return estimate(model).to_dict()


def test_equal_models_pool_to_themselves(paired: pd.DataFrame) -> None:
    entry = _entry(paired)
    row, found = entry["coefficients"]["surprisal"], pool([entry] * 3, "surprisal")
    assert (found.estimate, found.se, found.df) == pytest.approx((row["estimate"], row["se"], row["df"]))
    assert found.p == pytest.approx(row["p"])
    assert found.ci_low == pytest.approx(row["ci_low"])


def test_mean_and_range(paired: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    noisy = [paired.assign(surprisal=paired["surprisal"] + rng.normal(0, s, 960)) for s in (0, 1, 2)]
    entries = [_entry(data) for data in noisy]
    found = pool(entries, "surprisal")
    rows = [entry["coefficients"]["surprisal"] for entry in entries]
    assert found.estimate == pytest.approx(np.mean([row["estimate"] for row in rows]))
    assert found.lowest <= found.estimate <= found.highest
    assert found.share_negative == 1
    assert found.p == pytest.approx(2 * stats.t.sf(abs(found.estimate / found.se), found.df))


def test_fits_that_differ_are_refused(paired: pd.DataFrame) -> None:
    with pytest.raises(FitError, match="differ in n_obs"):
        pool([_entry(paired), _entry(paired.iloc[:900])], "surprisal")
    with pytest.raises(FitError, match="no term 'entropy'"):
        pool([_entry(paired)], "entropy")
    with pytest.raises(FitError, match="no fit"):
        pool([], "surprisal")
