"""lme4 through an ``Rscript`` process, when R is installed; the reference the other engines are held against.

R sees the same scaled columns as mixedlm and returns JSON, so formulas and contrasts need no translation.
"""

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from clada_neuro.errors import FitError
from clada_neuro.stats.design import Design
from clada_neuro.stats.engines.base import Engine, Estimate, Prepared, Scaled, rescale
from clada_neuro.stats.uncertainty.satterthwaite import Satterthwaite

_SCRIPT = """
suppressPackageStartupMessages({library(lme4); library(lmerTest)})
args <- commandArgs(TRUE)
d <- read.csv(args[1])
for (g in grep("^g[0-9]+$", names(d), value = TRUE)) d[[g]] <- factor(d[[g]])
notes <- character(0)
note <- function(w) { notes <<- c(notes, conditionMessage(w)); invokeRestart("muffleWarning") }
control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5), calc.derivs = FALSE,
  check.scaleX = "ignore")
m <- withCallingHandlers(
  lmer(as.formula(args[3]), d, REML = args[4] == "1", weights = w, control = control), warning = note)
jacobian <- unlist(lapply(m@Jac_list, as.vector))
numbers <- function(x) paste0("[", paste(format(x, digits = 17, trim = TRUE, scientific = TRUE), collapse = ","), "]")
cat(sprintf(
  '{"beta":%s,"vcov":%s,"slopes":%s,"spread":%s,"sigma":%s,"loglik":%s,"theta":%s,"b":%s,"converged":%s,"notes":%s}',
  numbers(fixef(m)), numbers(as.vector(as.matrix(vcov(m)))), numbers(jacobian),
  numbers(as.vector(m@vcov_varpar)), numbers(sigma(m)),
  numbers(as.numeric(logLik(m))), numbers(getME(m, "theta")), numbers(as.vector(getME(m, "b"))),
  ifelse(m@optinfo$conv$opt == 0, "true", "false"),
  paste0("[", paste(dQuote(gsub('[\\"\\\\\\\\\\n]', " ", notes), FALSE), collapse = ","), "]")), file = args[2])
"""
_SINGULAR_BELOW = 1e-4


@dataclass(frozen=True, eq=False)
class Script(Prepared):
    """A design for R, which fits it once."""

    design: Design
    reml: bool

    def estimate(self) -> Estimate:
        """Fit by lme4 (bobyqa) with lmerTest's Satterthwaite degrees of freedom."""
        return _estimate(self.design, self.reml)


def _take(design: Design, reml: bool, near: np.ndarray | None) -> Script:
    return Script(design, reml)


ENGINE = Engine("lme4", _take, refits=False)


def _estimate(design: Design, reml: bool) -> Estimate:
    if not design.blocks:
        raise FitError("engine 'lme4' needs a random term such as (1 | subject); use engine 'statsmodels'")
    program = shutil.which("Rscript")
    if program is None:
        raise FitError(
            "engine 'lme4' needs R with lme4 and lmerTest, and no Rscript was found; use 'mixedlm'"
        )
    scaled = rescale(design)
    # lme4 orders random terms by their number of levels; giving them so keeps theta and b in our order.
    order = sorted(range(len(design.blocks)), key=lambda b: -len(design.blocks[b].levels))
    return _read(design, scaled, order, reml, _run(program, design, scaled, order, reml))


def _run(program: str, design: Design, scaled: Scaled, order: list[int], reml: bool) -> dict:
    weights = np.ones(len(scaled.y)) if design.weights is None else design.weights
    frame = {"y": scaled.y, "w": weights, **{f"x{j}": column for j, column in enumerate(scaled.X.T)}}
    terms = ["0", *(f"x{j}" for j in range(scaled.X.shape[1]))]
    for b in order:
        frame[f"g{b}"] = design.blocks[b].codes
        names = [f"z{b}_{j}" for j in range(scaled.blocks[b].shape[1])]
        frame.update(zip(names, scaled.blocks[b].T, strict=True))
        terms.append(f"(0 + {' + '.join(names)} | g{b})")
    with tempfile.TemporaryDirectory() as folder:
        script, data, answer = (Path(folder, file) for file in ("fit.R", "data.csv", "fit.json"))
        script.write_text(_SCRIPT, encoding="utf-8")
        pd.DataFrame(frame).to_csv(data, index=False, float_format="%.17g")
        formula = f"y ~ {' + '.join(terms)}"
        call = [program, str(script), str(data), str(answer), formula, str(int(reml))]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        if done.returncode or not answer.exists():
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise FitError(f"Rscript could not fit the model: {reason}")
        return json.loads(answer.read_text(encoding="utf-8"))


def _read(design: Design, scaled: Scaled, order: list[int], reml: bool, found: dict) -> Estimate:
    sigma, theta, b = found["sigma"][0], np.array(found["theta"]), np.array(found["b"])
    p, covariances, effects, singular = len(found["beta"]), {}, {}, False
    for at in order:
        block = design.blocks[at]
        k, size = len(block.names), len(block.names) * len(block.levels)
        factor = np.zeros((k, k))
        # lme4 stores the lower triangle by column.
        factor.T[np.triu_indices(k)] = theta[: k * (k + 1) // 2]
        covariances[at] = scaled.covariance(at, sigma**2 * factor @ factor.T)
        effects[at] = scaled.effects(at, b[:size].reshape(len(block.levels), k))
        singular |= bool((np.diag(factor) < _SINGULAR_BELOW).any())
        theta, b = theta[k * (k + 1) // 2 :], b[size:]
    transform = scaled.scale * scaled.inverse_r()
    vcov = transform @ np.array(found["vcov"]).reshape(p, p) @ transform.T
    slopes = transform @ np.array(found["slopes"]).reshape(-1, p, p) @ transform.T
    spread = np.array(found["spread"]).reshape(len(slopes), len(slopes))
    most = len(scaled.y) - (p if reml else 0)
    blocks = range(len(design.blocks))
    return Estimate(
        beta=scaled.beta(np.array(found["beta"])),
        vcov=vcov,
        approximate=partial(Satterthwaite, vcov, slopes, spread, most),
        sigma=scaled.scale * sigma,
        loglik=scaled.loglik(found["loglik"][0], reml),
        covariances=tuple(covariances[b] for b in blocks),
        effects=tuple(effects[b] for b in blocks),
        singular=singular,
        converged=bool(found["converged"]),
        warnings=tuple(found["notes"]),
    )
