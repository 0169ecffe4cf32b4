"""A new engine is one file and one line: it fits, is resampled, compared, left out from and reported like the others."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from command_line import clada
from statsmodels.regression.mixed_linear_model import MixedLM

from clada_neuro.errors import FitError
from clada_neuro.reporting.prose import methods
from clada_neuro.reporting.results import read_results
from clada_neuro.stats import engines
from clada_neuro.stats.bootstrap import bootstrap
from clada_neuro.stats.compare import compare
from clada_neuro.stats.crossval import cross_validate
from clada_neuro.stats.design import Design
from clada_neuro.stats.engines.base import Engine, Estimate, Prepared
from clada_neuro.stats.mixed import MixedFit, estimate
from clada_neuro.stats.model import specify
from clada_neuro.stats.r2_intervals import r2_intervals
from clada_neuro.stats.sensitivity import influence
from clada_neuro.stats.uncertainty.base import Known

FORMULA = "n400 ~ surprisal + length + (1 | subject)"


@dataclass(frozen=True, eq=False)
class OneGroup(Prepared):
    """A design with one random intercept, for statsmodels' own groups instead of its variance components."""

    design: Design
    reml: bool

    def estimate(self) -> Estimate:
        design = self.design
        (block,) = design.blocks
        fit = MixedLM(design.y, design.X, groups=block.codes).fit(reml=self.reml, method="powell")
        p = design.X.shape[1]
        vcov = np.asarray(fit.cov_params())[:p, :p]
        effects = np.array([[float(fit.random_effects[code].iloc[0])] for code in range(len(block.levels))])
        return Estimate(
            beta=np.asarray(fit.fe_params),
            vcov=vcov,
            approximate=partial(Known, vcov, np.inf),
            sigma=float(np.sqrt(fit.scale)),
            loglik=float(fit.llf),
            covariances=(np.asarray(fit.cov_re),),
            effects=(effects,),
            singular=False,
            converged=bool(fit.converged),
        )


@dataclass(frozen=True, eq=False)
class Refitted(OneGroup):
    def refit(self, y: np.ndarray | None = None, start: np.ndarray | None = None) -> Estimate:
        return (self if y is None else replace(self, design=replace(self.design, y=y))).estimate()


ENGINE = Engine("groups", lambda design, reml, near: Refitted(design, reml))
ONCE = Engine("groups", lambda design, reml, near: OneGroup(design, reml), refits=False)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engines.ENGINES, "groups", __name__)


@pytest.fixture(scope="module")
def few(paired: pd.DataFrame) -> pd.DataFrame:
    return paired[paired["item"] < 12]


def _both(data: pd.DataFrame, formula: str, reml: bool = False) -> tuple[MixedFit, MixedFit]:
    model = specify(data, formula)
    return estimate(model, reml=reml, engine="groups"), estimate(model, reml=reml)


@pytest.mark.parametrize("reml", [True, False])
def test_it_fits_as_the_others_do(few: pd.DataFrame, reml: bool) -> None:
    ours, default = _both(few, FORMULA, reml)
    assert ours.engine == "groups"
    for column in ("estimate", "se"):
        expected = default.coefficients[column].to_numpy()
        assert ours.coefficients[column].to_numpy() == pytest.approx(expected, rel=1e-3)
    assert ours.loglik == pytest.approx(default.loglik, abs=1e-3)
    assert ours.r2().conditional == pytest.approx(default.r2().conditional, rel=1e-3)
    assert ours.refit(reml=not reml).engine == "groups"


def test_it_is_compared_and_resampled_by_itself(few: pd.DataFrame) -> None:
    small, large = (_both(few, formula) for formula in ("n400 ~ length + (1 | subject)", FORMULA))
    ours, default = (compare(*pair) for pair in zip(small, large, strict=True))
    assert ours.chi2 == pytest.approx(default.chi2, abs=2e-3)
    drawn, expected = (
        bootstrap(*pair, replicates=8, seed=2).parametric for pair in zip(small, large, strict=True)
    )
    assert drawn.n_failed == 0
    assert (drawn.low, drawn.median, drawn.high) == pytest.approx(
        (expected.low, expected.median, expected.high), abs=1e-4
    )
    assert r2_intervals(large[0], 6)["marginal"].n_failed == 0
    assert influence(large[0], "lab", ["surprisal"])["estimate"].notna().all()
    gains = [cross_validate(*pair, folds=3) for pair in zip(small, large, strict=True)]
    assert gains[0].delta_loglik_per_trial == pytest.approx(gains[1].delta_loglik_per_trial, abs=1e-4)


def test_one_that_fits_once_says_so_by_name(few: pd.DataFrame) -> None:
    fit = replace(_both(few, FORMULA)[0], solver=ONCE)
    for resampled in (
        lambda: influence(fit, "subject"),
        lambda: r2_intervals(fit, 5),
        lambda: cross_validate(fit, fit),
        lambda: bootstrap(fit, fit, replicates=2),
    ):
        with pytest.raises(FitError, match=r"engine 'groups' does not refit.*'mixedlm'"):
            resampled()


def test_the_command_and_the_report_take_it(few: pd.DataFrame, tmp_path, capsys) -> None:
    few.to_csv(tmp_path / "trials.csv", index=False)
    call = [tmp_path / "trials.csv", "--formula", FORMULA, "--engine", "groups", "--out", tmp_path / "out"]
    done = clada(capsys, "fit", *call)
    assert done.code == 0
    assert "(groups)" in done.out
    text = " ".join(methods(read_results(tmp_path / "out")))
    assert "linear mixed-effects models (groups)" in text
    assert "Degrees of freedom" not in text
    assert clada(capsys, "report", tmp_path / "out").code == 0
    assert "(groups)" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
