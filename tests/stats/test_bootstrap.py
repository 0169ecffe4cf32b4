"""Bootstraps draw what they say: from the model, from its null, or whole subjects and items."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.bootstrap import Pair, bootstrap, draw_clusters, simulate
from clada_neuro.stats.engines.mixedlm import MixedlmDesign
from clada_neuro.stats.mixed import MixedFit, estimate
from clada_neuro.stats.model import specify

RANDOM = "(1 | subject) + (1 | item) + (1 | stimulus)"


def _pair(data: pd.DataFrame) -> tuple[MixedFit, MixedFit]:
    formulas = {"small": f"n400 ~ length + {RANDOM}", "large": f"n400 ~ length + surprisal + {RANDOM}"}
    small, large = (
        estimate(specify(data, f, name=name, standardize=True), reml=False) for name, f in formulas.items()
    )
    return small, large


@pytest.fixture(scope="module")
def fits(paired: pd.DataFrame) -> tuple[MixedFit, MixedFit]:
    return _pair(paired)


def test_simulated_responses_have_the_models_moments(fits: tuple[MixedFit, MixedFit]) -> None:
    large = fits[1]
    rng = np.random.default_rng(0)
    mean = large.fitted(random=False)
    drawn = np.stack(
        [simulate(large.design, mean, large.estimate.covariances, large.sigma, rng) for _ in range(400)]
    )
    shares = large.r2()
    assert drawn.mean(axis=0) == pytest.approx(mean, abs=5 * np.sqrt((shares.random + shares.residual) / 400))
    assert drawn.var(axis=0).mean() == pytest.approx(shares.random + shares.residual, rel=0.05)


def test_a_strong_effect_and_no_effect(paired: pd.DataFrame, fits: tuple[MixedFit, MixedFit]) -> None:
    strong = bootstrap(*fits, replicates=15, seed=1)
    assert strong.parametric is not None
    assert strong.parametric.low > 0.01
    assert strong.null_p == pytest.approx(1 / 16)
    assert strong.n_null == 15
    rng = np.random.default_rng(0)
    noise = paired.assign(surprisal=rng.permutation(pd.factorize(paired["stimulus"])[0] % 97).astype(float))
    none = bootstrap(*_pair(noise), replicates=15, seed=1)
    assert none.null_p is not None
    assert none.null_p > 0.1


def test_seeds(fits: tuple[MixedFit, MixedFit]) -> None:
    one, again, other = (bootstrap(*fits, replicates=3, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one.parametric != other.parametric


def test_a_resumed_run_draws_the_missing_replicates_only(
    fits: tuple[MixedFit, MixedFit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bootstrap(*fits, replicates=6, seed=1)
    bootstrap(*fits, replicates=4, seed=1, folder=tmp_path)
    drawn: list[int] = []
    draw = Pair.__call__
    monkeypatch.setattr(Pair, "__call__", lambda pair, number: drawn.append(number) or draw(pair, number))
    # Another number of threads moves the last bits of a fit; its replicates are still those of the same data.
    moved = replace(fits[1].estimate, loglik=fits[1].loglik + 1e-12)
    resumed = bootstrap(fits[0], replace(fits[1], estimate=moved), replicates=6, seed=1, folder=tmp_path)
    assert drawn == [4, 5, 4, 5]
    assert resumed == whole


def test_reml_is_refused(fits: tuple[MixedFit, MixedFit]) -> None:
    with pytest.raises(FitError, match="reml=False"):
        bootstrap(fits[0], fits[1].refit(reml=True))


def test_cluster_draw_keeps_whole_subjects_and_items(fits: tuple[MixedFit, MixedFit]) -> None:
    design = fits[1].design
    rows, (subjects, items) = draw_clusters(design, ("subject", "item"), np.random.default_rng(3))
    n_subjects, n_items = 16, 30
    # Complete crossing: 16 drawn subjects x 30 drawn items x 2 words.
    assert len(rows) == n_subjects * n_items * 2
    assert len(np.unique(subjects)) == n_subjects
    assert len(np.unique(items)) == n_items
    for copies, block in ((subjects, design.blocks[0]), (items, design.blocks[1])):
        for copy in range(5):
            assert len(np.unique(block.codes[rows][copies == copy])) == 1


def test_duplicates_become_new_levels(fits: tuple[MixedFit, MixedFit]) -> None:
    from clada_neuro.stats.bootstrap import _redrawn

    design = fits[1].design
    rows, copies = draw_clusters(design, ("subject", "item"), np.random.default_rng(3))
    drawn = _redrawn(design, rows, copies, ("subject", "item"))
    sizes = {block.group: len(block.levels) for block in drawn.blocks}
    assert sizes == {"subject": 16, "item": 30, "stimulus": 60}


def test_what_is_nested_in_both_factors_is_new_for_each_pair_of_copies(paired: pd.DataFrame) -> None:
    from clada_neuro.stats.bootstrap import _redrawn

    formula = "n400 ~ surprisal + (1 | subject) + (1 | item) + (1 | subject:item)"
    design = estimate(specify(paired, formula), reml=False).design
    rows, copies = draw_clusters(design, ("subject", "item"), np.random.default_rng(3))
    drawn = _redrawn(design, rows, copies, ("subject", "item"))
    # Complete crossing: each of the 16 x 30 pairs of drawn copies has its own two trials.
    assert len(drawn.blocks[2].levels) == 16 * 30
    assert (np.bincount(drawn.blocks[2].codes) == 2).all()


def test_replicates_of_nested_models_never_end_below(fits: tuple[MixedFit, MixedFit]) -> None:
    """A larger model that starts at a poor place is fitted again from the smaller one's optimum."""
    small, large = fits
    task = Pair(
        "null", small.design, large.design, (small.estimate.theta, large.estimate.theta),
        small.fitted(random=False), small.estimate.covariances, small.sigma, 0, small.solver,
    )  # fmt: skip
    one, two = task._prepared

    class Trapped:
        """Ends a log unit too low unless it starts at the smaller model's optimum."""

        def refit(self, y=None, start=None):
            found = two.refit(y, start)
            return replace(found, loglik=found.loglik - 1e3 * (start is large.estimate.theta))

    y = large.design.y
    ends = task._refit((one, Trapped()), y)
    assert ends[1].loglik == pytest.approx(large.loglik, abs=1e-3)


def test_cluster_bootstrap(fits: tuple[MixedFit, MixedFit]) -> None:
    found = bootstrap(*fits, replicates=0, cluster_replicates=6)
    assert found.parametric is None
    assert found.null_p is None
    assert found.cluster is not None
    assert 0 < found.cluster.low < found.cluster.high
    with pytest.raises(FitError, match="'lab'"):
        bootstrap(*fits, replicates=0, cluster_replicates=2, clusters=("subject", "lab"))


def test_a_failed_replicate_is_counted_not_dropped(
    fits: tuple[MixedFit, MixedFit], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, refit = iter(range(100)), MixedlmDesign.refit

    def sometimes(prepared, *arguments):
        if next(calls) == 3:
            raise FitError("no optimum")
        return refit(prepared, *arguments)

    monkeypatch.setattr(MixedlmDesign, "refit", sometimes)
    found = bootstrap(*fits, replicates=4, seed=1).parametric
    assert found is not None
    assert (found.n, found.n_failed) == (4, 1)
    assert np.isfinite(found.median)


def test_tasks_travel_without_native_objects(fits: tuple[MixedFit, MixedFit]) -> None:
    small, large = fits
    task = Pair(
        "null", small.design, large.design, (small.estimate.theta, large.estimate.theta),
        small.fitted(random=False), small.estimate.covariances, small.sigma, 0, small.solver,
    )  # fmt: skip
    first = task(4)
    assert pickle.loads(pickle.dumps(task))(4) == first


@pytest.mark.slow
def test_distributions_agree_with_theory_and_reference(small: pd.DataFrame) -> None:
    """The gain grows with the squared coefficient, which is normal; the median is also known from lme4 refits."""
    path = Path(__file__).parents[1] / "reference" / "r2_synergy_reference.json"
    reference = json.loads(path.read_text())["small"]
    random = "(1+surprisal|subject) + (1|item)"
    main = "surprisal + sparsity + entropy"
    fits = [
        estimate(specify(small, f"n400 ~ {fixed} + {random}"), reml=False)
        for fixed in (main, f"{main} + surprisal:sparsity")
    ]
    found = bootstrap(fits[0], fits[1], replicates=400, seed=1, jobs=2)
    row, gain = fits[1].coefficient("surprisal:sparsity"), reference["delta_R2m"]
    upper = gain * ((row["estimate"] + 1.96 * row["se"]) / row["estimate"]) ** 2
    assert found.parametric is not None
    assert found.parametric.n_failed == 0
    assert found.parametric.low < gain / 4
    assert found.parametric.median == pytest.approx(reference["parametric_boot"][1], abs=3e-4)
    assert found.parametric.high == pytest.approx(upper, rel=0.15)
    # Under the null the likelihood ratio is close to chi² with one df; the observed one has p = .0096 there.
    assert found.null_p is not None
    assert 0.001 < found.null_p < 0.03
