import numpy as np
import pandas as pd
import pytest

from clada_neuro.stats.checks import part_r2
from clada_neuro.stats.mixed import fit
from clada_neuro.stats.partition import partition

pytestmark = pytest.mark.filterwarnings("ignore::clada_neuro.stats.mixed.FitWarning")


@pytest.fixture(scope="module")
def trials() -> pd.DataFrame:
    random = np.random.default_rng(3)
    frame = pd.DataFrame(
        {"subject": np.repeat([f"s{k}" for k in range(12)], 40), "item": np.tile(np.arange(40), 12)}
    )
    own = random.normal(0, 1, 40)
    frame = frame.assign(x=own[frame["item"]], baseline=random.normal(0, 4, len(frame)))
    noise = random.normal(0, 2, len(frame)) + random.normal(0, 1, 12)[np.arange(len(frame)) // 40]
    return frame.assign(y=0.5 * frame["x"] + frame["baseline"] + noise)


def test_part_r2_is_what_the_focal_terms_add(trials):
    fitted = fit(trials, "y ~ x + baseline + (1|subject)")
    found = part_r2(fitted, ["x"])
    witness = partition(trials, "y", ["x", "baseline"], "(1|subject)")
    assert found["r2"] == pytest.approx(witness.part["x"], abs=1e-6)
    assert (found["terms"], found["others"]) == (["x"], ["baseline"])
    assert fitted.r2().marginal > 0.7 > 0.05 > found["r2"] > 0


def test_products_go_with_their_factors(trials):
    found = part_r2(fit(trials, "y ~ x * baseline + (1|subject)"), ["x"])
    assert found["others"] == ["baseline"]


def test_there_is_no_part_without_others_or_without_focal_terms(trials):
    assert part_r2(fit(trials, "y ~ x + (1|subject)"), ["x"]) is None
    assert part_r2(fit(trials, "y ~ x + baseline + (1|subject)"), []) is None
