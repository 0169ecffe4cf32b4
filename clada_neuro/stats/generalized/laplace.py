"""Laplace's approximation to the likelihood of a generalised mixed model, with its gradient.

With u ~ N(0, I), eta = X b + Z Lambda u (and an offset) and H = Lambda' Z' W Z Lambda + I, half the deviance is

    F(theta, b) = min_u { -loglik(y | eta) + |u|² / 2 } + log det H / 2.

u is found by penalised iterated least squares (Bates et al. 2015). The gradient is exact: it follows u and W as theta and b
move (Kristensen et al. 2016), so a fit costs tens of evaluations where one without it costs hundreds. H is solved by
eliminating the factor with the most levels, within which it is block diagonal; what is left is dense.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from clada_neuro.stats.design import Block
from clada_neuro.stats.generalized.family import CountFamily, Cumulants

_MOST_STEPS, _MOST_HALVINGS = 100, 30
# The last step is the one that changes the penalised likelihood by less than this.
_TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False)
class Term:
    """A block as arrays: ``values`` (n, k) in scaled units, ``codes`` (n,) and the number of levels."""

    values: np.ndarray
    codes: np.ndarray
    levels: int

    @property
    def size(self) -> int:
        """Return the number of effects."""
        return self.levels * self.values.shape[1]

    def spread(self, effects: np.ndarray) -> np.ndarray:
        """Return each row's effects (n, k)."""
        return effects.reshape(self.levels, -1)[self.codes]

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Return the sums of rows (n, k) by level, flat."""
        sums = [np.bincount(self.codes, column, self.levels) for column in rows.T]
        return np.column_stack(sums).ravel()


class Curvature:
    """H, factorised, for columns T = Z Lambda of each term and weights of the rows; the first term is eliminated."""

    def __init__(self, terms: Sequence[Term], columns: Sequence[np.ndarray], weights: np.ndarray) -> None:
        self.terms, self.columns = terms, columns
        first, others = terms[0], range(1, len(terms))
        k = columns[0].shape[1]
        own = _cross(first, columns[0], first, columns[0], weights, same=True) + np.eye(k)
        self.inverse = np.linalg.inv(own)
        self.starts = np.cumsum([0, *(term.size for term in terms[1:])])
        m = int(self.starts[-1])
        beside = np.zeros((first.size, m))
        rest = np.eye(m)
        for i in others:
            at = self._at(i)
            beside[:, at] = _cross(first, columns[0], terms[i], columns[i], weights)
            for j in range(i, len(terms)):
                found = _cross(terms[i], columns[i], terms[j], columns[j], weights)
                rest[at, self._at(j)] += found
                if j > i:
                    rest[self._at(j), at] += found.T
        self.solved = (self.inverse @ beside.reshape(first.levels, k, m)).reshape(first.size, m)
        self.factor = linalg.cholesky(rest - beside.T @ self.solved, lower=True)
        self.logdet = float(np.linalg.slogdet(own)[1].sum() + 2 * np.log(np.diag(self.factor)).sum())

    def _at(self, term: int) -> slice:
        return slice(int(self.starts[term - 1]), int(self.starts[term]))

    def solve(self, effects: np.ndarray) -> np.ndarray:
        """Return H^-1 times a vector."""
        first = self.terms[0]
        one, other = effects[: first.size], effects[first.size :]
        other = linalg.cho_solve((self.factor, True), other - self.solved.T @ one)
        one = (self.inverse @ one.reshape(first.levels, -1, 1)).ravel() - self.solved @ other
        return np.concatenate([one, other])

    def leverages(self) -> list[np.ndarray]:
        """Return of H^-1 t, for each row's t, the entries (n, k) of the row's own level of each term."""
        first, T = self.terms[0], self.columns
        k, m = T[0].shape[1], len(self.factor)
        rest = linalg.cho_solve((self.factor, True), np.eye(m))
        beside = -self.solved @ rest
        within = self.inverse - np.einsum(
            "lam,lbm->lab", beside.reshape(first.levels, k, m), self.solved.reshape(first.levels, k, m)
        )
        found = [np.einsum("nab,nb->na", within[first.codes], T[0])]
        found += [np.zeros_like(columns) for columns in T[1:]]
        for i in range(1, len(T)):
            part = _entries(first, self.terms[i], beside[:, self._at(i)])
            found[0] += np.einsum("nab,nb->na", part, T[i])
            found[i] += np.einsum("nab,na->nb", part, T[0])
            for j in range(1, len(T)):
                part = _entries(self.terms[i], self.terms[j], rest[self._at(i), self._at(j)])
                found[i] += np.einsum("nab,nb->na", part, T[j])
        return found


def _cross(
    one: Term, a: np.ndarray, other: Term, b: np.ndarray, weights: np.ndarray, same: bool = False
) -> np.ndarray:
    """Return the weighted products of two terms' columns: a matrix, or the blocks (levels, k, k) of one term."""
    pairs = one.codes if same else one.codes * other.levels + other.codes
    count = one.levels if same else one.levels * other.levels
    sums = np.empty((count, a.shape[1], b.shape[1]))
    for i, x in enumerate(a.T):
        for j, y in enumerate(b.T):
            sums[:, i, j] = np.bincount(pairs, weights * x * y, count)
    if same:
        return sums
    shape = (one.levels, other.levels, *sums.shape[1:])
    return sums.reshape(shape).transpose(0, 2, 1, 3).reshape(one.size, other.size)


def _entries(one: Term, other: Term, matrix: np.ndarray) -> np.ndarray:
    """Return for each row the block (n, k, l) of a matrix at its levels of two terms."""
    shape = (one.levels, one.values.shape[1], other.levels, other.values.shape[1])
    return matrix.reshape(shape)[one.codes, :, other.codes, :]


class Mode:
    """The most likely random effects at given parameters, and what the likelihood and its gradient need there."""

    def __init__(self, laplace: "Laplace", roots: Sequence[np.ndarray], beta: np.ndarray) -> None:
        self.laplace = laplace
        self.columns = [term.values @ root for term, root in zip(laplace.terms, roots, strict=True)]
        self.fixed = laplace.X @ beta + laplace.offset
        self.effects, self.converged = laplace.start, False
        self._look(self.effects)
        for _ in range(_MOST_STEPS):
            score = self._score()
            step = self.curvature.solve(score)
            # The step that is small enough is taken, too: log det H moves with u, the penalised likelihood hardly does.
            moved, self.converged = self._move(step), abs(step @ score) < _TOLERANCE
            if self.converged or not moved:
                break

    def _look(self, effects: np.ndarray) -> None:
        """Evaluate the penalised likelihood and its curvature at random effects."""
        self.effects = effects
        self.eta = self.fixed + self.along(effects)
        self.cumulants: Cumulants = self.laplace.family.cumulants(self.eta, self.laplace.trials)
        self.value = self._penalised(effects, self.eta)
        self.curvature = Curvature(self.laplace.terms, self.columns, self.cumulants.variance)

    def _penalised(self, effects: np.ndarray, eta: np.ndarray) -> float:
        family = self.laplace.family
        return effects @ effects / 2 - family.loglik(self.laplace.counts, eta, self.laplace.trials)

    def _score(self) -> np.ndarray:
        return self.gather(self.residual) - self.effects

    def _move(self, step: np.ndarray) -> bool:
        share, change = 1.0, self.along(step)
        slack = 1e-13 * max(1.0, abs(self.value))
        for _ in range(_MOST_HALVINGS):
            if self._penalised(self.effects + share * step, self.eta + share * change) <= self.value + slack:
                self._look(self.effects + share * step)
                return True
            share /= 2
        return False

    @property
    def residual(self) -> np.ndarray:
        """Return counts minus their means."""
        return self.laplace.counts - self.cumulants.mean

    def along(self, effects: np.ndarray) -> np.ndarray:
        """Return Z Lambda times effects, (n,)."""
        parts = zip(self.laplace.terms, self.columns, self.laplace.split(effects), strict=True)
        return np.sum([np.einsum("nk,nk->n", T, term.spread(u)) for term, T, u in parts], axis=0)

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Return Lambda' Z' times rows (n,)."""
        parts = zip(self.laplace.terms, self.columns, strict=True)
        return np.concatenate([term.gather(T * rows[:, None]) for term, T in parts])


class Laplace:
    """Half the deviance of one design as a function of its parameters: theta of each term, then b."""

    def __init__(
        self,
        family: CountFamily,
        counts: np.ndarray,
        trials: np.ndarray,
        X: np.ndarray,
        blocks: Sequence[Block],
        values: Sequence[np.ndarray],
    ) -> None:
        self.family, self.counts, self.trials, self.X = family, counts, trials, X
        made = [Term(v, b.codes, len(b.levels)) for v, b in zip(values, blocks, strict=True)]
        self.order = sorted(range(len(made)), key=lambda i: -made[i].size)
        self.terms = [made[i] for i in self.order]
        self.triangles = [np.tril_indices(term.values.shape[1]) for term in self.terms]
        self.ends = np.cumsum([len(rows) for rows, _ in self.triangles])
        self.start = np.zeros(sum(term.size for term in self.terms))
        self.offset: np.ndarray | float = 0.0  # what eta has beside them, (n,): a coefficient that is held

    def roots(self, parameters: np.ndarray) -> list[np.ndarray]:
        """Return the triangular root of each term's covariance."""
        parts = np.split(parameters[: self.ends[-1]], self.ends[:-1])
        found = []
        for term, triangle, part in zip(self.terms, self.triangles, parts, strict=True):
            root = np.zeros((term.values.shape[1],) * 2)
            root[triangle] = part
            found.append(root)
        return found

    def split(self, effects: np.ndarray) -> list[np.ndarray]:
        """Return effects by term."""
        return np.split(effects, np.cumsum([term.size for term in self.terms])[:-1])

    def mode(self, parameters: np.ndarray) -> Mode:
        """Return the mode of the random effects, from where the last one was."""
        found = Mode(self, self.roots(parameters), parameters[self.ends[-1] :])
        if found.converged:
            self.start = found.effects
        return found

    def __call__(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Return half the deviance and its gradient."""
        mode = self.mode(parameters)
        weights, residual = mode.cumulants.variance, mode.residual
        leverages = mode.curvature.leverages()
        diagonal = sum(np.einsum("nk,nk->n", R, T) for R, T in zip(leverages, mode.columns, strict=True))
        third = mode.cumulants.third * diagonal / 2
        answer = mode.curvature.solve(mode.gather(third))
        moved = third - residual - weights * mode.along(answer)
        parts = []
        split = zip(
            self.terms, self.triangles, leverages, self.split(mode.effects), self.split(answer), strict=True
        )
        for term, triangle, R, u, a in split:
            rows = moved[:, None] * term.spread(u) + weights[:, None] * R + residual[:, None] * term.spread(a)
            parts.append((term.values.T @ rows)[triangle])
        gradient = np.concatenate([*parts, self.X.T @ moved])
        return mode.value + mode.curvature.logdet / 2, gradient
