"""What nobody asked for by name does not end a run: a note says why it is missing, and the main fits come out."""

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.mixed import estimate
from clada_neuro.stats.model import specify
from clada_neuro.stats.sensitivity import influence
from clada_neuro.stats.specification import ModelSpecification
from clada_neuro.stats.stage import fit_models
from clada_neuro.stats.synergy import synergy


@pytest.fixture(scope="module")
def one_short_word() -> pd.DataFrame:
    """Ten items read by eight people: nine words have four letters, one has three."""
    rng = np.random.default_rng(4)
    words = pd.DataFrame({"item": [f"i{k}" for k in range(10)], "length": [3.0, *[4.0] * 9]})
    words = words.assign(a=rng.normal(size=10), b=rng.normal(size=10))
    data = words.merge(pd.DataFrame({"subject": [f"s{k}" for k in range(8)]}), how="cross")
    return data.assign(y=data["a"] + rng.normal(0, 1, 80) + rng.normal(0, 1, 8)[np.tile(range(8), 10)])


def test_a_fold_in_which_a_control_is_constant(one_short_word: pd.DataFrame) -> None:
    found = synergy(one_short_word, "y", ("a", "b"), controls=["length"], random="(1 | subject)")
    assert found.cross_validation is None
    (note,) = [line for line in found.warnings if "cross-validation left out" in line]
    assert "without the items of fold" in note
    assert "(i0, …), 'length' cannot be z-scored: it has one value in all 72 rows" in note
    assert found.test.p < 1


def test_two_frames_only(paired: pd.DataFrame) -> None:
    two = paired[paired["item"] < 2].assign(a=lambda d: d["surprisal"] + np.arange(len(d)) % 7)
    two = two.assign(b=np.random.default_rng(1).normal(size=len(two)))
    found = synergy(two, "n400", ("a", "b"), random="(1 | subject) + (1 | item)", folds=2)
    assert found.cross_validation is None
    assert any("grouping factor 'item' has one level" in line for line in found.warnings)


def test_a_level_that_only_extreme_trials_have(paired: pd.DataFrame, tmp_path) -> None:
    data = paired.assign(probe=np.where(np.arange(len(paired)) < 3, "rare", "usual"))
    data.loc[data["probe"] == "rare", "n400"] += 500
    model = ModelSpecification(
        "m", "n400 ~ surprisal + probe + (1 | subject)", directions={"surprisal": "negative"}
    )
    (entry,) = fit_models(data, (model,), tmp_path / "fits.json", "rows")
    assert entry["sensitivity"] is None
    assert any(line.startswith("the fit without extreme trials left out: ") for line in entry["warnings"])
    assert entry["detectable"]["surprisal"]["effect"] > 0


def test_what_was_asked_for_is_an_error_still(paired: pd.DataFrame) -> None:
    with pytest.raises(FitError, match="no column 'center'"):
        influence(estimate(specify(paired, "n400 ~ surprisal + (1 | subject)")), "center")
