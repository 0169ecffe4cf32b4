"""What is said of layers in place of a predictor: how it was done, what passes in the family, what was chosen out of sight."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from clada_neuro.measures.layers import BY_LAYER
from clada_neuro.numerals import decimals, fixed, interval
from clada_neuro.records.depth import ChoiceFacts, DepthRecord, Layer, ProfileFacts
from clada_neuro.reporting import references
from clada_neuro.reporting.labels import words
from clada_neuro.reporting.text import p_value, stat

NATS = 1e3  # gains are told in thousandths of a nat
_LABELS = {one.name: one.label for one in BY_LAYER}


def label(measure: str) -> str:
    """Return a measure by layer in words; what is none, as it is."""
    return _LABELS.get(measure, measure)


def measures(entry: ProfileFacts) -> list[str]:
    """Return the measures of a family, in the order of their profiles."""
    return list(dict.fromkeys(row.measure for row in entry.profile))


def methods(record: DepthRecord | None) -> str:
    """Return the Methods sentences for all models of a run, which share their settings; empty where none was asked."""
    if not record or not record.entries:
        return ""
    one = record.entries[0]
    replaced = words(one.replaces)
    each = _list(f"{_layers(entry)} in {entry.formula}" for entry in record.entries)
    return (
        f"To ask which layer of the language model speaks to the responses, one measure of one layer at a time stood in "
        f"place of {replaced} ({_list(map(label, measures(one)))}), with the same rows and random effects: {each}. Coefficients were "
        f"estimated by REML. "
        f"Their p values and {_percent(one)}% intervals hold for all of these models of a response together: they are from the "
        f"largest |t| of each of {one.replicates:,} responses drawn from the model without {replaced} "
        f"({references.cite('max_t')}). Log-likelihoods were compared by ML on held-out {one.fold}s ({one.folds} folds), and the "
        "best layer of a fold was chosen in the other folds alone."
    )


def found(entry: ProfileFacts) -> str:
    """Return which layers pass in the family, a clause a measure."""
    strong = [row for row in entry.profile if row.p_family <= 1 - entry.confidence]
    limit = "" if entry.critical_t is None else f" (|t| beyond {entry.critical_t:.2f})"
    clauses = [
        f"{label(name)} ({_counted(passing(entry, name))}; largest |t| in {_peak(entry, name)})"
        for name in dict.fromkeys(row.measure for row in strong)
    ]
    return f"{len(strong)} of {entry.n_family} models pass in the family{limit}{': ' + '; '.join(clauses) if clauses else ''}."


def chosen(entry: ProfileFacts) -> str:
    """Return what the best layer of any measure gains where it was not chosen."""
    best = entry.choice[-1]
    over = "is that predictor itself" if best.heldout_final is None else f"{_gain(best, 'final')} over it"
    return (
        f"The best layer and measure, chosen in the other folds alone ({best.layers}), gains {_gain(best, 'baseline')} thousandths of "
        f"a nat a trial over the model without {words(entry.replaces)}, and {over}."
    )


def largest(entry: ProfileFacts, measure: str) -> Layer:
    """Return the row of a measure with the largest |t|."""
    return max((row for row in entry.profile if row.measure == measure), key=lambda row: abs(row.t or 0))


def sign(row: Layer) -> str:
    """Return what was registered of a sign, and whether the estimate has it."""
    if not row.expected:
        return "none registered"
    return f"{row.expected}, {'as found' if row.as_expected else 'found otherwise'}"


def passing(entry: ProfileFacts, measure: str) -> str:
    """Return the layers of a measure that pass in the family, as ``3–5, 9``."""
    rows = [row for row in entry.profile if row.measure == measure]
    runs = [
        [row.layer for row in run]
        for passes, run in groupby(rows, key=lambda row: row.p_family <= 1 - entry.confidence)
        if passes
    ]
    return ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)


def _peak(entry: ProfileFacts, measure: str) -> str:
    row = largest(entry, measure)
    digits = decimals(row.se)
    told = (
        f"layer {row.layer}, {stat('b', fixed(row.estimate, digits))}, {_percent(entry)}% CI "
        f"{interval(row.ci_low, row.ci_high, digits)}, {stat('p', p_value(row.p_family))}"
    )
    return (
        told if row.as_expected is not False else f"{told}, where the registered direction was {row.expected}"
    )


def _gain(row: ChoiceFacts, over: str) -> str:
    mean, se = (NATS * getattr(row, f"heldout_{over}{end}") for end in ("", "_se"))
    digits = decimals(se)
    return f"{fixed(mean, digits)} (SE {fixed(se, digits)})"


def _layers(entry: ProfileFacts) -> str:
    return f"{entry.n_family} models of {entry.n_obs:,} trials"


def _counted(layers: str) -> str:
    return f"layer{'' if layers.isdigit() else 's'} {layers}"


def _percent(entry: ProfileFacts) -> str:
    return f"{100 * entry.confidence:g}"


def _list(parts: Iterable[str]) -> str:
    known: Sequence[str] = list(parts)
    return known[0] if len(known) == 1 else f"{', '.join(known[:-1])} and {known[-1]}"
