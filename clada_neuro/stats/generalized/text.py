"""A generalised fit as text, HTML, JSON and an APA sentence."""

from html import escape
from typing import Any

from clada_neuro.numerals import decimals, p_text
from clada_neuro.stats import output
from clada_neuro.stats.fitted import Fitted
from clada_neuro.stats.generalized.family import family_of

_SHORT = {"odds ratio": "OR", "rate ratio": "RR"}


def method(fit: Fitted) -> str:
    """Return ``Generalised mixed model, binomial with logit link, by Laplace's approximation``."""
    family = family_of(fit.family)
    return f"Generalised mixed model, {family.name} with {family.link} link, by Laplace's approximation"


def apa(row: dict[str, float], ratio: str) -> str:
    """Return ``b = 0.50, SE = 0.03, z = 17.00, p < .001, OR = 1.65, 95 % CI [1.56, 1.75]``."""
    digits, name = decimals(row["se"]), ratio.replace(" ", "_")
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return (
        f"b = {row['estimate']:.{digits}f}, SE = {row['se']:.{digits}f}, z = {row['z']:.2f}, {p_text(row['p'])}, "
        f"{_SHORT[ratio]} = {row[name]:.{digits}f}, 95 % CI [{low:.{digits}f}, {high:.{digits}f}]"
    )


def to_dict(fit: Fitted) -> dict[str, Any]:
    """Return the entry of fits.json: what a linear model's has, without residuals, with family and link."""
    family = family_of(fit.family)
    return output.common(fit) | {"response_family": family.name, "link": family.link}


def summary(fit: Fitted) -> str:
    """Return the fit as a page of text: method, sizes, variances, coefficients with ratios, R², notes."""
    lines = [
        f"{method(fit)}: {fit.formula}",
        *output.about(fit),
        "",
        fit.random.to_string(index=False, float_format="{:.4f}".format),
        "",
        output.coefficient_text(fit).to_string(index=False),
        "",
        _likelihood(fit),
    ]
    return "\n".join([*lines, *(f"note: {message}" for message in fit.warnings)])


def html(fit: Fitted) -> str:
    """Return the fit as two tables and its notes."""
    head = f"<p><b>{escape(fit.formula)}</b>, {escape(method(fit))}, {fit.n_obs} rows</p>"
    tables = [
        table.to_html(index=False, float_format="{:.4f}".format, border=0)
        for table in (output.coefficient_text(fit), fit.random)
    ]
    notes = "".join(f"<p>note: {escape(message)}</p>" for message in fit.warnings)
    return head + "".join(tables) + f"<p>{escape(_likelihood(fit))}</p>" + notes


def _likelihood(fit: Fitted) -> str:
    shares = fit.r2()
    return (
        f"log-likelihood {fit.loglik:.3f}, AIC {fit.aic:.3f}, on the latent scale R² marginal {shares.marginal:.4f}, "
        f"conditional {shares.conditional:.4f}"
    )
