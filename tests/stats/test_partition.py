"""R² partition against figures computed from lme4 fits of all subsets."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.compare import compare
from clada_neuro.stats.mixed import estimate
from clada_neuro.stats.model import specify
from clada_neuro.stats.partition import common_denominator, commonality, partition

REFERENCE = Path(__file__).parents[1] / "reference"
RANDOM = "(1+surprisal|subject) + (1|item)"
TERMS = ("surprisal", "entropy", "sparsity", "surprisal:sparsity")


@pytest.mark.parametrize("dataset", ["unbal", pytest.param("small", marks=pytest.mark.slow)])
def test_all_subsets_against_reference(dataset: str) -> None:
    expected = json.loads((REFERENCE / "r2_synergy_reference.json").read_text())[dataset]
    data = pd.read_csv(REFERENCE / f"sim_{dataset}.csv")
    found = partition(data, "n400", TERMS, RANDOM)
    for name, row in expected["table"].items():
        subset = frozenset() if name == "1" else frozenset(name.split(" + "))
        assert found.marginal[subset] == pytest.approx(row["R2m"], abs=1e-6), name
    for name, value in expected["commonality"].items():
        assert found.commonality[frozenset(name.split(" & "))] == pytest.approx(value, abs=2e-6), name
    for name, value in expected["unique"].items():
        assert found.part[name] == pytest.approx(value, abs=1e-6)
    assert sum(found.commonality.values()) == pytest.approx(expected["R2m_full"], abs=1e-6)


@pytest.mark.parametrize("dataset", ["small", "unbal"])
def test_plain_synergy_against_reference(dataset: str) -> None:
    expected = json.loads((REFERENCE / "r2_synergy_reference.json").read_text())[dataset]
    data = pd.read_csv(REFERENCE / f"sim_{dataset}.csv")
    main = f"n400 ~ surprisal + sparsity + entropy + {RANDOM}"
    smaller = estimate(specify(data, main), reml=False)
    larger = estimate(specify(data, main.replace("+ entropy", "+ entropy + surprisal:sparsity")), reml=False)
    test = compare(larger, smaller)
    assert test.chi2 == pytest.approx(expected["LR"], abs=2e-4)
    assert test.p == pytest.approx(expected["p"], rel=1e-4)
    assert test.delta_loglik_per_trial == pytest.approx(expected["dLL_per_obs"], rel=1e-4)
    assert test.delta_r2_marginal == pytest.approx(expected["delta_R2m"], abs=1e-6)
    assert common_denominator(smaller, larger) == pytest.approx(expected["delta_common_denom"], abs=1e-6)


def test_commonality_of_two_by_hand() -> None:
    a, b = frozenset("a"), frozenset("b")
    values = {frozenset(): 0.0, a: 0.3, b: 0.2, a | b: 0.4}
    found = commonality(values, a | b)
    assert found[a] == pytest.approx(0.2)
    assert found[b] == pytest.approx(0.1)
    assert found[a | b] == pytest.approx(0.1)


def test_too_many_sets_are_refused() -> None:
    data = pd.DataFrame({name: np.arange(5.0) for name in "yabcdefg"})
    with pytest.raises(FitError, match="7 sets"):
        partition(data, "y", list("abcdefg"), "(1 | a)")
