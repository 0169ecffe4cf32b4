"""The lines of an R script that belong to one package, after those that read the data."""

import re
from collections.abc import Iterable

from clada_neuro.errors import FitError
from clada_neuro.stats.bayes.priors import Priors, priors_of
from clada_neuro.stats.bayes.sampler import TARGET_ACCEPT
from clada_neuro.stats.design import INTERCEPT
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.formula import refuse_smooths
from clada_neuro.stats.generalized.counts import trials_of
from clada_neuro.stats.marginal.overview import overview
from clada_neuro.stats.rwriter import Writer, text
from clada_neuro.stats.uncertainty.base import KENWARD_ROGER

# glmer's default tolerance ends where standard errors still differ in the third digit.
_GLMER = 'glmerControl(optimizer = "bobyqa", tolPwrss = 1e-12, optCtrl = list(maxfun = 1e5))'
_DDF = {KENWARD_ROGER: "Kenward-Roger"}


def lme4(fit: Fitted, writer: Writer, weight_mean: float) -> list[str]:
    """Return the lines that fit ``m`` with lmer, glmer or, without random terms, lm; with smooths, gamm4 or mgcv."""
    model, mixed = fit.model, bool(fit.design.blocks)
    if fit.family != "gaussian":
        share = trials_of(model.formula) if fit.family == "binomial" else ""
        weights = f", weights = {writer.expression(share)}" if share else ""
        method = f", family = {fit.family},\n  control = {_GLMER}"
        return [
            "library(lme4)",
            f"m <- glmer({writer.formula()}, data = d{method}{weights})",
            "print(summary(m))",
        ]
    weights = ""
    if model.weights:
        weights = f", weights = {writer.name(model.weights)}" + (
            "" if weight_mean == 1 else f" / {float(weight_mean)!r}"
        )
    if fit.design.smooths:
        return _smooth_fit(fit, writer, weights)
    method = f", REML = {'TRUE' if fit.reml else 'FALSE'}" if mixed else ""
    ddf = f', ddf = "{_DDF[fit.df_method]}"' if fit.df_method in _DDF else ""
    return [
        *(["library(lmerTest)"] if mixed else []),
        f"m <- {'lmer' if mixed else 'lm'}({writer.formula()}, data = d{method}{weights})",
        f"print(summary(m{ddf}))",
    ]


def emmeans(fit: Fitted, writer: Writer) -> list[str]:
    """Return the lines that print the marginal means, slopes and contrasts of a fit's factors, made of ``m``.

    Raises
    ------
    FitError
        Where there is no factor.
    """
    refuse_smooths(fit.model.formula, "scripts for emmeans")
    shown = overview(fit)
    if not shown:
        raise FitError(f"'{fit.formula}' has no factor; emmeans has nothing to show")
    how = ""
    if fit.family == "gaussian" and fit.design.blocks:  # by default emmeans has no df from 3,000 rows on
        df = fit.df_method
        limit = "pbkrtest.limit" if df == KENWARD_ROGER else "lmerTest.limit"
        how = f', lmer.df = "{df}", {limit} = nrow(d)'
    lines = ["library(emmeans)"]
    for number, one in enumerate(shown, start=1):
        cells = f"~ {_crossed(writer, one['factors'])}" + (
            f" | {_crossed(writer, one['by'])}" if one["by"] else ""
        )
        var = f", var = {text(writer.names[one['slope']])}" if one["slope"] else ""
        name = f"e{number}"
        lines += [
            f"{name} <- {'emtrends' if var else 'emmeans'}(m, {cells}{var}{how})",
            f"print({name})",
            *(
                [f'print(pairs({name}, adjust = "{one["adjust"]}"), infer = TRUE)']
                if one["contrasts"]
                else []
            ),
        ]
    return lines


def brms(fit: Fitted, writer: Writer) -> list[str]:
    """Return the lines that sample ``m`` with brms under the priors of `bayes`.

    Raises
    ------
    FitError
        For weights, which brms takes as repetitions of rows, and no random terms.
    """
    if fit.model.weights:
        raise FitError(
            f"'{fit.name}' has weights '{fit.model.weights}', which brms takes as numbers of repetitions of a row; leave them out"
        )
    refuse_smooths(fit.model.formula, "scripts for brms")
    priors = priors_of(fit)
    left, family = _response(fit, writer)
    right = " + ".join([writer.side(fit.model.formula.fixed), *writer.random()])
    return [
        "library(brms)",
        f"f <- bf({left} ~ {right})",
        f"family <- {family}",
        "# The names that brms gives the columns of one side of the formula, in their order.",
        'columns <- function(side) setdiff(colnames(make_standata(side, d, family = family)$X), "Intercept")',
        f"# In {priors.unit or 'units of the response'}. An effect, a difference between predictors two SDs apart, is "
        f"normal(0, {priors.effect:g}): a coefficient has",
        "# that over two SDs of its column. SDs are half-normal: brms cuts them at zero.",
        f"priors <- c(\n  {_joined(_priors(fit, writer, priors, left))}\n)",
        'm <- brm(f, data = d, family = family, prior = priors, sample_prior = "yes", chains = 4, iter = 1500, '
        f"warmup = 1000,\n  seed = 0, control = list(adapt_delta = {TARGET_ACCEPT:g}))",
        "print(summary(m), digits = 4)",
        *(
            [
                f'print(hypothesis(m, paste(columns({left} ~ {writer.side(fit.model.formula.fixed)}), "= 0")))  '
                "# Evid.Ratio: BF01, Savage and Dickey's"
            ]
            if priors.coefficients
            else []
        ),
        "print(loo(m))",
    ]


def _response(fit: Fitted, writer: Writer) -> tuple[str, str]:
    """Return the left side of brms's formula, and its family."""
    response = writer.expression(fit.model.formula.response)
    if fit.family != "binomial":
        return response, f"{fit.family}()"
    share = trials_of(fit.model.formula)
    if not share:
        return response, "bernoulli()"
    trials = writer.expression(share)
    hits = re.sub(r"\s*/\s*\(?" + re.escape(trials) + r"\)?$", "", response)
    return f"{hits} | trials({trials})", "binomial()"


def _priors(fit: Fitted, writer: Writer, priors: Priors, left: str) -> list[str]:
    """Return the calls of set_prior."""
    lines = []
    if INTERCEPT in fit.design.names:
        lines.append(
            f'set_prior("normal({priors.center!r}, {priors.center_sd!r})", class = "Intercept")'
            "  # the mean where all predictors are at theirs"
        )
    if priors.coefficients:
        lines.append(
            f'set_prior({_normals(priors.coefficients.values())}, class = "b",\n'
            f"    coef = columns({left} ~ {writer.side(fit.model.formula.fixed)}))  # {', '.join(priors.coefficients)}"
        )
    for block, term in zip(fit.design.blocks, fit.model.formula.random, strict=True):
        group = text(":".join(map(writer.name, term.factors)))
        for name in (name for name in block.names if name == INTERCEPT):
            sd = priors.spreads[block.group, name]
            lines.append(f'set_prior("normal(0, {sd!r})", class = "sd", group = {group}, coef = "Intercept")')
        slopes = {name: priors.spreads[block.group, name] for name in block.names if name != INTERCEPT}
        if slopes:
            lines.append(
                f'set_prior({_normals(slopes.values())}, class = "sd", group = {group},\n'
                f"    coef = columns({left} ~ {writer.side(term.columns)}))  # {', '.join(slopes)}"
            )
    if priors.residual:
        lines.append(f'set_prior("normal(0, {priors.residual!r})", class = "sigma")')
    if any(len(block.names) > 1 for block in fit.design.blocks):
        lines.append(
            'set_prior("lkj(2)", class = "cor")  # correlations of random effects, a little nearer to zero'
        )
    return lines


def _joined(calls: list[str]) -> str:
    """Return calls with commas between them, before their comments."""
    written = []
    for number, call in enumerate(calls, start=1):
        code, mark, comment = call.rpartition("  # ")
        code, comment = (code, f"{mark}{comment}") if mark else (comment, "")
        written.append(f"{code}{',' if number < len(calls) else ''}{comment}")
    return "\n  ".join(written)


def _normals(sds: Iterable[float]) -> str:
    return f'sprintf("normal(0, %.17g)", c({", ".join(repr(float(sd)) for sd in sds)}))'


def _crossed(writer: Writer, names: list[str]) -> str:
    return " * ".join(map(writer.name, names))


def _smooth_fit(fit: Fitted, writer: Writer, weights: str) -> list[str]:
    """Return the lines that fit ``m`` with gamm4, else mgcv, and print it; ``weights`` is an argument with its comma, or empty."""
    formula, groups = fit.model.formula, writer.random()
    right = [writer.side(formula.fixed), *(term.written(writer.name) for term in formula.smooths)]
    left = f"{writer.expression(formula.response)} ~ "
    if groups and not any(term.kind == "te" for term in formula.smooths):
        method = f"REML = {'TRUE' if fit.reml else 'FALSE'}"
        return [
            "library(gamm4)",
            f"m <- gamm4({left}{' + '.join(right)}, random = ~ {' + '.join(groups)}, data = d, {method}{weights})",
            "print(summary(m$gam))",
            "print(summary(m$mer))",
        ]
    lines = ["library(mgcv)"]
    for term, block, written in zip(formula.random, fit.design.blocks, groups, strict=True):
        names = [writer.name(name) for name in term.factors]
        lines += [f"d${name} <- factor(d${name})" for name in names]
        if len(block.names) > 1:
            lines.append(f"# mgcv has no correlations of random effects: those of {written} are left out.")
        slopes = [[] if name == INTERCEPT else [writer.expression(name)] for name in block.names]
        right += [f's({", ".join([*names, *slope])}, bs = "re")' for slope in slopes]
    function, method = ("bam", "fREML") if groups else ("gam", "REML")
    method = method if fit.reml else "ML"
    return [
        *lines,
        f'm <- {function}({left}{" + ".join(right)}, data = d, method = "{method}"{weights})',
        "print(summary(m))",
    ]
