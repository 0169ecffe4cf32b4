"""Which predictors carry the explained variance: part R², commonality, and one common denominator.

    part R² of a set      R²m(all) - R²m(all without the set)
    C_S = sum over R within S of (-1)^(|R|+1) R²m(S^c with R), S^c the predictors outside S

Every value comes from its own ML fit with the same rows and random part. Commonalities can be negative
(suppression, or variance that moves between the fixed and random part) and are kept so; they sum to R²m(all).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from clada_neuro.errors import FitError
from clada_neuro.stats.formula import parse
from clada_neuro.stats.mixed import MixedFit, estimate
from clada_neuro.stats.model import specify
from clada_neuro.stats.nesting import settled

Subset = frozenset[str]
_MAX_SETS = 6


@dataclass(frozen=True)
class Partition:
    """Marginal R² of every subset of the named sets of terms, and what follows from them."""

    sets: tuple[str, ...]
    marginal: Mapping[Subset, float]
    part: Mapping[str, float]
    commonality: Mapping[Subset, float]

    def table(self) -> pd.DataFrame:
        """Return one row a subset: terms, r2_marginal of the model with them, commonality."""
        rows = [
            (" & ".join(name for name in self.sets if name in subset), self.marginal[subset], value)
            for subset, value in self.commonality.items()
        ]
        return pd.DataFrame(rows, columns=["terms", "r2_marginal", "commonality"])


def partition(
    data: pd.DataFrame,
    response: str,
    sets: Mapping[str, str] | Sequence[str],
    random: str,
    *,
    controls: Sequence[str] = (),
    standardize: bool | Sequence[str] = False,
) -> Partition:
    """Fit all subsets of ``sets`` and partition marginal R².

    Parameters
    ----------
    sets
        ``{name: terms}``, or terms that name themselves. At most six: each doubles the number of fits.
    random
        Random terms, the same in every model.
    controls
        Fixed terms in every model; R²m then starts from theirs, and commonalities sum to the gain over it.

    Raises
    ------
    FitError
        For more than six sets, or a model that cannot be fitted.
    """
    named = dict(sets) if isinstance(sets, Mapping) else {term: term for term in sets}
    if not 1 <= len(named) <= _MAX_SETS:
        raise FitError(f"{len(named)} sets of terms given; 1 to {_MAX_SETS} can be partitioned")
    everything = frozenset(named)
    full_formula = " + ".join([*controls, *named.values(), random])
    used = data.iloc[specify(data, f"{response} ~ {full_formula}", standardize=standardize).design.rows]

    def fitted(subset: Subset) -> MixedFit:
        terms = [*controls, *(named[name] for name in named if name in subset)]
        fixed = " + ".join(terms) or "1"
        formula = f"{response} ~ {fixed} + {random}"
        present = parse(formula).variables()
        columns = standardize if isinstance(standardize, bool) else [c for c in standardize if c in present]
        model = specify(used, formula, standardize=columns)
        return estimate(model, reml=False)

    fits: dict[Subset, MixedFit] = {}
    for subset in _subsets(everything, empty=True):  # smaller ones first
        fits[subset] = fitted(subset)
        for name in subset:
            fits[subset] = settled(fits[subset - {name}], fits[subset])
    values = {subset: fit.r2().marginal for subset, fit in fits.items()}
    part = {name: values[everything] - values[everything - {name}] for name in named}
    return Partition(tuple(named), values, part, commonality(values, everything))


def commonality(values: Mapping[Subset, float], everything: Subset) -> dict[Subset, float]:
    """Return C_S of every non-empty subset S; ``values`` holds R²m of every subset, the empty one included."""
    result = {}
    for subset in _subsets(everything):
        rest = everything - subset
        total = -values[rest]
        for inner in _subsets(subset):
            total += (-1) ** (len(inner) + 1) * values[rest | inner]
        result[subset] = total
    return result


def common_denominator(smaller: MixedFit, larger: MixedFit) -> float:
    """Return the gain in fixed-effect variance over the larger model's total variance."""
    total = larger.r2()
    return (total.fixed - smaller.r2().fixed) / total.total


def _subsets(names: Subset, empty: bool = False) -> list[Subset]:
    ordered = sorted(names)
    sizes = range(0 if empty else 1, len(ordered) + 1)
    return [frozenset(chosen) for size in sizes for chosen in combinations(ordered, size)]
