"""How long mixed models of 25,322 noun N400s take: from a data frame to coefficients with degrees of freedom."""

import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from clada_neuro.errors import DataError
from clada_neuro.instrument.trace import trace
from clada_neuro.models.loading import EMBEDDED
from clada_neuro.responses.alignment import align
from clada_neuro.stats.mixed import FitWarning, fit
from clada_neuro.study.resolve import resolve_target

TARGET = "nieuwland2018"
_GROUPS = "(1 | item) + (1 | stimulus)"
FORMULAS = {
    "cloze": f"n400_uv ~ cloze + (1 | subject) + {_GROUPS}",
    "intercepts": f"n400_uv ~ surprisal_bits * sparsity_energy99 + (1 | subject) + {_GROUPS}",
    "slopes": "n400_uv ~ surprisal_bits * sparsity_energy99 "
    f"+ (1 + surprisal_bits * sparsity_energy99 | subject) + {_GROUPS}",
}


def bench_fit(
    rounds: int = 3, trials: str | Path | None = None, progress: Callable[[str], None] = lambda line: None
) -> pd.DataFrame:
    """Fit each of `FORMULAS` by REML in rounds, with lme4 beside where ``Rscript`` is there.

    Parameters
    ----------
    trials : path, optional
        A trials.parquet of `clada-neuro run nieuwland2018`; traced anew without it.

    Returns
    -------
    One row a model and engine: model, formula, engine, n_obs, rounds, seconds (median wall time, Satterthwaite df
    included), cpu_seconds (median of this process), loglik, singular.

    Raises
    ------
    DataError
        When the data set or the file is not there.
    """
    data = _trials(trials)
    engines = ["mixedlm", *(["lme4"] if shutil.which("Rscript") else [])]
    rows = []
    for number in range(rounds):
        for name, formula in FORMULAS.items():
            for engine in engines:
                rows.append(
                    {"model": name, "formula": formula, "engine": engine, **_timed(data, formula, engine)}
                )
                progress(f"round {number + 1}, {name}, {engine}: {rows[-1]['seconds']:.2f} s")
    keys = ["model", "formula", "engine", "n_obs"]
    found = pd.DataFrame(rows).groupby(keys, sort=False)
    table = (
        found[["seconds", "cpu_seconds", "loglik"]]
        .median()
        .assign(rounds=rounds, singular=found["singular"].any())
    )
    return table.reset_index()


def _timed(data: pd.DataFrame, formula: str, engine: str) -> dict[str, float | bool]:
    began, spent = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        found = fit(data, formula, engine=engine, standardize=True)
    found.coefficients  # noqa: B018  degrees of freedom are computed on first use
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - spent,
        "n_obs": found.n_obs,
        "loglik": found.loglik,
        "singular": found.singular,
    }


def _trials(path: str | Path | None) -> pd.DataFrame:
    if path is not None:
        if not Path(path).is_file():
            raise DataError(
                f"no trials at '{path}'; give the trials.parquet of a run of {TARGET}, or leave it out"
            )
        return pd.read_parquet(path)
    plan = resolve_target(TARGET)
    assert plan.trials is not None
    with TemporaryDirectory() as folder:
        return align(trace(plan.stimuli, EMBEDDED, out=folder).words, plan.trials).trials
