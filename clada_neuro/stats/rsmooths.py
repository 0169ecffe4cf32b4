"""The lines of an R script that fit a model with smooths: gamm4's, or mgcv's where gamm4 has no such smooth."""

from clada_neuro.stats.design import INTERCEPT
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.rwriter import Writer


def smooth_fit(fit: Fitted, writer: Writer, weights: str) -> list[str]:
    """Return the lines that fit ``m`` and print it; ``weights`` is an argument with its comma, or empty."""
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
