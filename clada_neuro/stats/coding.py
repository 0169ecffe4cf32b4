"""How the factors of a fitted formula were coded, read from the matrices that were used."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from formulaic import ModelSpec
from formulaic.parser.types import Term
from formulaic.transforms.contrasts import DiffContrasts, HelmertContrasts, PolyContrasts, SumContrasts

from clada_neuro.stats.formula import names_in

_KNOWN = {
    "sum": SumContrasts(), "helmert": HelmertContrasts(), "polynomial": PolyContrasts(),
    "successive differences": DiffContrasts(),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Coding:
    """One factor of a formula: its column, its levels in order, and the codes of each (n_levels, n_columns)."""

    column: str
    levels: tuple[str, ...]
    codes: np.ndarray

    def __str__(self) -> str:
        kind = self._kind()
        if len(self.levels) > 2 and kind != "own codes":
            return kind
        if self.codes.shape[1] > 1 or kind.startswith("treatment"):
            return kind
        shown = ", ".join(
            f"{level} {code:.4g}" for level, code in zip(self.levels, self.codes[:, 0], strict=True)
        )
        return f"{kind} ({shown})"

    def _kind(self) -> str:
        n = len(self.levels)
        if self.codes.shape == (n, n):
            return "one indicator a level"
        reference = np.flatnonzero((self.codes == 0).all(axis=1))
        if len(reference) == 1 and np.array_equal(np.delete(self.codes, reference, axis=0), np.eye(n - 1)):
            return f"treatment (reference {self.levels[reference[0]]})"
        for kind, contrast in _KNOWN.items():
            if np.allclose(self.codes, contrast.get_coding_matrix(list(self.levels))):
                return kind
        return "own codes"

    def off_zero(self) -> str:
        """Return what codes of the user's own mean that do not sum to zero; empty where they do, and for zeros and ones."""
        sums = self.codes.sum(axis=0)
        off = ~np.isclose(sums, 0) & ~np.isin(self.codes, (0, 1)).all(axis=0)
        if self._kind() != "own codes" or not off.any():
            return ""
        first = int(np.flatnonzero(off)[0])
        codes = ", ".join(
            f"{level} {code:.4g}" for level, code in zip(self.levels, self.codes[:, first], strict=True)
        )
        return (
            f"codes of '{self.column}' ({codes}) sum to {sums[first]:.4g}, not 0: the intercept, and what interacts with "
            f"'{self.column}', hold where its codes are 0, not at the mean of its levels"
        )


def off_zero(spec: ModelSpec) -> tuple[str, ...]:
    """Return a line for each factor whose codes should sum to zero and do not."""
    return tuple(dict.fromkeys(filter(None, (coding.off_zero() for coding in codings(spec).values()))))


def named(spec: ModelSpec) -> dict[str, Coding]:
    """Return the codings by column; by term where a column has two."""
    found = codings(spec)
    columns = [coding.column for coding in found.values()]
    return {
        coding.column if columns.count(coding.column) == 1 else name: coding for name, coding in found.items()
    }


def codings(spec: ModelSpec) -> dict[str, Coding]:
    """Return the coding of each factor of a formula side, by the factor's expression."""
    reduced = _reduced(spec)
    found = {}
    for factor, state in spec.factor_contrasts.items():
        matrix = state.get_coding_matrix(reduced_rank=str(factor) in reduced)
        levels: Sequence[Hashable] = state.levels
        column = next(iter(names_in([Term([factor])])))
        found[str(factor)] = Coding(column, tuple(map(str, levels)), np.asarray(matrix, dtype=float))
    return found


def _reduced(spec: ModelSpec) -> set[str]:
    """Return the factors that stand in contrast to an intercept or to what the other terms span."""
    scoped = (scoped for encoded in spec.structure or () for scoped in encoded.scoped_terms)
    return {str(factor.factor) for term in scoped for factor in term.factors if factor.reduced}
