"""The tested interaction as a paragraph in APA style."""

from clada_neuro.numerals import decimals, fixed, interval
from clada_neuro.records.synergy import Bootstrapped, SynergyRecord
from clada_neuro.reporting.labels import words
from clada_neuro.reporting.text import number, p_value, share, shares, stat
from clada_neuro.responses.response import response_of

_ALPHA = 0.05
LIBERAL = "liberal with few stimuli"


def paragraph(found: SynergyRecord) -> str:
    """Return one interaction in APA style."""
    test, coefficient = found.test, found.coefficient
    intervals, held_out = found.intervals or Bootstrapped(), found.cross_validation
    t = "z" if coefficient.df is None else f"t({number(coefficient.df, 1)})"
    calibrated, chi2 = intervals.null_p, f"χ²({test.df})"
    first, second = (words(name) for name in found.predictors)
    measured, digits = response_of(found.response), decimals(coefficient.se)
    toward, tested = measured.toward(coefficient.estimate), test.p if calibrated is None else calibrated
    outcome = (
        f"The effect of {first} on {measured.plural} was {toward} at higher {second}"
        if tested is not None and tested < _ALPHA
        else f"There was no reliable interaction of {first} and {second} in {measured.plural}"
    )
    likelihood = f"{stat(chi2, number(test.chi2))}, {stat('p', p_value(test.p))}"
    wald = f"{stat(t, number(coefficient.t))}, {stat('p', p_value(coefficient.p))}"
    if calibrated is None:
        tests = f"likelihood ratio {likelihood} ({LIBERAL}, and not calibrated here); Satterthwaite {wald}"
    else:
        tests = (
            f"{stat('p', p_value(calibrated))} by simulation under the null ({intervals.n_null:,} replicates; the "
            f"likelihood ratio, {LIBERAL}, gave {likelihood}, Satterthwaite {wald})"
        )
    text = (
        f"{outcome}, {stat('b', f'{measured.quantity(coefficient.estimate, coefficient.se)} per SD of each')}, "
        f"95% CI {interval(coefficient.ci_low, coefficient.ci_high, digits)}, {tests}. Beyond both main effects "
        f"and both squares, the interaction added {stat('ΔR²m', share(found.r2_synergy, 5))}"
    )
    if drawn := intervals.parametric:
        text += f" (95% bootstrap interval {shares(drawn.low, drawn.high, 5)})"
    digits = decimals(held_out.se) if held_out else 5
    text += (
        f"; log-likelihood per trial changed by {fixed(test.delta_loglik_per_trial, digits)} nats in sample"
    )
    if held_out:
        gain, error = fixed(held_out.delta_loglik_per_trial, digits), fixed(held_out.se, digits)
        text += f" and by {gain} ({stat('SE', error)}) on held-out items"
    return f"{found.language_model}: {text}." if found.language_model else f"{text}."
