"""A fit as an R script that refits it from a CSV file beside it and gives the same numbers.

Whatever R could decide otherwise is written out: which columns are text, the order of levels, contrasts, z-scores. After
the data come the lines of one package: lme4, emmeans (after lme4) or brms.
"""

from collections.abc import Iterable
from pathlib import Path

from clada_neuro.errors import FitError, did_you_mean
from clada_neuro.stats import rpackages
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.rwriter import Writer, text

PACKAGES = ("lme4", "emmeans", "brms")
_HEAD = """# Rscript finds the data beside this script; elsewhere, work in its folder.
here <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
here <- dirname(c(gsub("~+~", " ", here, fixed = TRUE), "./refit.R")[1])
# A spreadsheet would run text that begins so; the file has an apostrophe before it.
plain <- function(x) if (is.character(x)) sub("^'([=+@\\t\\r-])", "\\\\1", x) else x"""
_CR = """cr <- function(x, knots, constraint = NULL) {  # cubic regression spline with these knots
  unit <- function(j) as.numeric(seq_along(knots) == j)
  basis <- sapply(seq_along(knots), function(j) splinefun(knots, unit(j), method = "natural")(x))
  if (is.null(constraint)) basis else basis %*% qr.Q(qr(cbind(constraint)), complete = TRUE)[, -1]
}"""


def to_r_script(
    fit: Fitted, data_file: str = "trials.csv", weight_mean: float = 1.0, package: str = "lme4"
) -> str:
    """Return R code that reads ``data_file`` beside it and refits the model.

    Parameters
    ----------
    weight_mean
        What the weights in the file were divided by before the fit.
    package
        ``lme4`` (with lmerTest), ``emmeans`` (lme4 and the marginal means and contrasts that a report shows) or ``brms``
        (the priors of `bayes`, commented).

    Raises
    ------
    FitError
        For another package, and a model that it does not take.
    """
    check_packages([package])
    design = fit.design
    writer = Writer(
        fit.model.formula,
        fit.model.data,
        fit.model.contrasts,
        [design.spec, *(b.spec for b in design.blocks)],
    )
    lines = rpackages.brms(fit, writer) if package == "brms" else rpackages.lme4(fit, writer, weight_mean)
    if package == "emmeans":
        lines += rpackages.emmeans(fit, writer)
    return "\n".join([*_data(fit, writer, data_file), *lines]) + "\n"


def check_packages(packages: Iterable[str]) -> None:
    """Raise `FitError` for a package that no scripts are written for."""
    for package in packages:
        if package not in PACKAGES:
            raise FitError(
                f"R package '{package}' given{did_you_mean(package, list(PACKAGES))}; scripts are written for {', '.join(PACKAGES)}"
            )


def _data(fit: Fitted, writer: Writer, data_file: str) -> list[str]:
    """Return the lines that read the table and make its columns what the fit saw."""
    model = fit.model
    columns = list(dict.fromkeys([*model.formula.variables(), *([model.weights] if model.weights else [])]))
    used = ", ".join(text(writer.names[name]) for name in columns)
    return [
        _HEAD,
        *([_CR] if writer.has_cr else []),
        f'd <- read.csv({_path(data_file)}, na.strings = "", encoding = "UTF-8"{writer.text_columns()})',
        "d[] <- lapply(d, plain)",
        *(f"d${writer.name(name)} <- toupper(d${writer.name(name)})" for name in writer.truths),
        f"d <- d[complete.cases(d[c({used})]), ]",
        *(
            f"d${writer.name(name)} <- (d${writer.name(name)} - {float(mean)!r}) / {float(sd)!r}"
            for name, (mean, sd) in fit.standardized.items()
        ),
        *writer.factors(),
    ]


def _path(file: str) -> str:
    return text(file) if Path(file).is_absolute() else f"file.path(here, {text(file)})"
