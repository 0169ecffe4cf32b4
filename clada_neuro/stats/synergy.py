"""Synergy: what the product of two predictors explains beyond both, their squares and the controls.

    r2_synergy = R²m(baseline + a:b) - R²m(baseline),   baseline = controls + a + b + a² + b²

Both models are fitted by ML to the same rows with the same random part. Without the squares, a curve in either of
two correlated predictors passes for an interaction, so that figure is only given beside the headline.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro.errors import FitError
from clada_neuro.numerals import fixed, interval
from clada_neuro.parts import Jobs
from clada_neuro.stats.bootstrap import Intervals
from clada_neuro.stats.bootstrap import bootstrap as run_bootstrap
from clada_neuro.stats.compare import Comparison, compare
from clada_neuro.stats.crossval import ItemFolds, cross_validate
from clada_neuro.stats.design import check_columns
from clada_neuro.stats.mixed import MixedFit, estimate
from clada_neuro.stats.model import specify
from clada_neuro.stats.nesting import settled
from clada_neuro.stats.notation import quoted
from clada_neuro.stats.output import apa, facts_html
from clada_neuro.stats.partition import common_denominator
from clada_neuro.stats.secondary import attempt

RANDOM = "(1 | subject) + (1 | item) + (1 | stimulus)"


@dataclass(frozen=True, eq=False, repr=False)
class Synergy:
    """The outcome of `synergy`.

    ``baseline`` and ``full`` are ML fits, ``inference`` the full model by REML. `r2_synergy_common` divides both
    models' explained variance by the full model's total. `intervals` is None when no bootstrap was asked for.
    """

    response: str
    predictors: tuple[str, str]
    term: str
    baseline: MixedFit
    full: MixedFit
    inference: MixedFit
    r2_synergy: float
    r2_synergy_common: float
    r2_synergy_without_squares: float
    test: Comparison
    coefficient: dict[str, float]
    cross_validation: ItemFolds | None
    intervals: Intervals | None
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the content of synergy.json."""
        return {
            "response": self.response,
            "predictors": list(self.predictors),
            "term": self.term,
            "n_obs": self.full.n_obs,
            "n_groups": self.full.n_groups,
            "standardized": {k: {"mean": m, "sd": s} for k, (m, s) in self.full.standardized.items()},
            "formula_baseline": self.baseline.formula,
            "formula_full": self.full.formula,
            "r2_marginal_baseline": self.baseline.r2().marginal,
            "r2_marginal_full": self.full.r2().marginal,
            "r2_conditional_full": self.full.r2().conditional,
            "r2_synergy": self.r2_synergy,
            "r2_synergy_common": self.r2_synergy_common,
            "r2_synergy_without_squares": self.r2_synergy_without_squares,
            "coefficient": self.coefficient,
            "test": self.test.to_dict(),
            "cross_validation": None if self.cross_validation is None else asdict(self.cross_validation),
            "intervals": None if self.intervals is None else asdict(self.intervals),
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        return (
            f"{self.term} on {self.response}: {apa(self.coefficient)}; r2_synergy = {self.r2_synergy:.2e} "
            f"(without squares {self.r2_synergy_without_squares:.2e}); {self.test}"
        )

    def _repr_html_(self) -> str:
        calibrated = None if self.intervals is None else self.intervals.null_p
        rows = {
            "interaction": self.term,
            "coefficient (REML)": apa(self.coefficient),
            "ΔR²m over main effects and squares": fixed(self.r2_synergy, 5),
            "the same, common denominator": fixed(self.r2_synergy_common, 5),
            "the same, without squares": fixed(self.r2_synergy_without_squares, 5),
            **({} if calibrated is None else {"p calibrated under the null": f"{calibrated:.4f}"}),
            "likelihood ratio (ML), liberal with few stimuli": str(self.test),
        }
        if self.cross_validation is not None:
            gain = self.cross_validation
            rows["held-out gain"] = (
                f"{gain.delta_loglik_per_trial:.2e} nats per trial (SE {gain.se:.1e}), {gain.n_folds} folds of items"
            )
        for kind in ("parametric", "cluster"):
            drawn = getattr(self.intervals, kind, None)
            if drawn is not None:
                rows[f"{kind} bootstrap"] = interval(drawn.low, drawn.high, 5)
        return facts_html(self.response, rows, self.warnings)


def synergy(
    data: pd.DataFrame,
    response: str,
    predictors: tuple[str, str],
    *,
    controls: Sequence[str] = (),
    random: str = RANDOM,
    item: str | None = "item",
    folds: int = 10,
    bootstrap: int = 0,
    cluster_bootstrap: int = 0,
    seed: int = 0,
    jobs: Jobs = 1,
    folder: str | Path | None = None,
    progress: bool = False,
) -> Synergy:
    """Estimate and test the interaction of two predictors.

    Parameters
    ----------
    data
        One row a trial. The two predictors and all numeric controls are z-scored over the rows used.
    predictors
        Two numeric columns.
    controls
        Further fixed terms, in formula notation, such as ``"length"`` or ``"log(frequency)"``.
    random
        Random terms, the same in both models.
    item
        Column whose levels are kept together in a fold; None leaves cross-validation out. Where the folds cannot
        be fitted, a warning says why.
    bootstrap
        Parametric bootstrap replicates, for the interval and for the null-calibrated p (as many each).
    cluster_bootstrap
        Replicates of the bootstrap over subjects and items.
    seed, jobs, folder, progress
        Seed of all resampling; processes; where finished replicates are kept so that a later call resumes;
        whether to show a bar.

    Raises
    ------
    FitError
        When a predictor is missing, constant or not numeric, or a model cannot be fitted.
    """
    a, b = _check_predictors(data, predictors)
    term, main = f"{a}:{b}", " + ".join([*controls, a, b])
    squares, with_product = fixed_parts((a, b), controls)
    fits = {
        name: estimate(
            specify(data, f"{response} ~ {fixed} + {random}", name=name, standardize=True), reml=False
        )
        for name, fixed in {
            "baseline": squares,
            "full": with_product,
            "plain baseline": main,
            "plain full": f"{main} + {term}",
        }.items()
    }
    baseline, plain = fits["baseline"], fits["plain baseline"]
    full, plain_full = settled(baseline, fits["full"]), settled(plain, fits["plain full"])
    inference = full.refit(reml=True)
    notes: list[str] = []
    folds_result = None
    if item is not None:
        folds_result = attempt(
            "cross-validation",
            lambda: cross_validate(baseline, full, item=item, folds=folds, seed=seed),
            notes,
        )
    intervals = None
    if bootstrap or cluster_bootstrap:
        intervals = run_bootstrap(
            baseline, full, replicates=bootstrap, cluster_replicates=cluster_bootstrap, seed=seed, jobs=jobs,
            folder=folder, progress=progress,
        )  # fmt: skip
    return Synergy(
        response,
        (a, b),
        term,
        baseline,
        full,
        inference,
        delta_r2(baseline, full),
        common_denominator(baseline, full),
        delta_r2(plain, plain_full),
        compare(baseline, full),
        inference.coefficient(term),
        folds_result,
        intervals,
        tuple(dict.fromkeys([*baseline.warnings, *full.warnings, *inference.warnings, *notes])),
    )


def fixed_parts(predictors: tuple[str, str], controls: Sequence[str] = ()) -> tuple[str, str]:
    """Return the fixed part of the baseline (main effects and squares) and of the model with the product."""
    a, b = map(quoted, predictors)
    baseline = " + ".join([*controls, a, b, f"I({a} ** 2)", f"I({b} ** 2)"])
    return baseline, f"{baseline} + {a}:{b}"


def delta_r2(smaller: MixedFit, larger: MixedFit) -> float:
    """Return the difference in marginal R², each model over its own total variance."""
    return larger.r2().marginal - smaller.r2().marginal


def _check_predictors(data: pd.DataFrame, predictors: Sequence[str]) -> tuple[str, str]:
    if len(predictors) != 2 or len(set(predictors)) != 2:
        raise FitError(
            f"synergy needs two different predictors; got {', '.join(map(str, predictors)) or 'none'}"
        )
    check_columns(data, predictors)
    return predictors[0], predictors[1]
