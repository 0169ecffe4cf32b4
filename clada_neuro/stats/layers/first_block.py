"""The block of random effects whose product is diagonal, taken out before the others are factored.

With share = size / (1 + size d) of a level whose product with itself is d, all that is needed of the block are sums over its
levels of share w w', where w holds the level's products with the other blocks, the columns and the response. Levels of one d
(words that as many people read) have one share, so that sums over those are taken once where there are many.
"""

from dataclasses import dataclass

import numpy as np

from clada_neuro.stats.layers.recent import Recent

MANY = 20  # levels of one d on average, from which sums over them are taken once


@dataclass(frozen=True, eq=False)
class OfResponse:
    """A response's products with the block, and, where levels are grouped, its part of each group's sums."""

    z: np.ndarray
    sums: np.ndarray
    squares: np.ndarray


class FirstBlock:
    """A block's products with itself, (levels,), with the other blocks, (others, levels), and with columns, (levels, J)."""

    def __init__(self, diagonal: np.ndarray, across: np.ndarray, columns: np.ndarray) -> None:
        """Group the levels where many are alike."""
        self.diagonal, self._across, self._columns = diagonal, across, columns
        values, groups, counts = np.unique(diagonal, return_inverse=True, return_counts=True)
        self._alike = 0 < len(values) * MANY <= len(diagonal)
        self._values = values if self._alike else diagonal
        self._counts = counts if self._alike else np.ones(len(diagonal), dtype=int)
        if self._alike:
            order = np.argsort(groups, kind="stable")
            self._order, self._starts = order, np.cumsum(counts) - counts
            self._all = np.vstack([across, columns.T])[:, order]
            parts = np.split(self._all, self._starts[1:], axis=1)
            self._each = np.stack([part @ part.T for part in parts])
            self._seen = Recent()

    def logdet(self, size: float) -> float:
        """Return the block's part of log |V| at a relative variance."""
        return float(self._counts @ np.log1p(size * self._values))

    def off_others(self, size: float) -> np.ndarray:
        """Return what the block takes off the other blocks' product, (others, others)."""
        if self._alike:
            return self._sums(size)[: len(self._across), : len(self._across)]
        scaled = self._across * np.sqrt(self._share(size))
        return np.asarray(scaled @ scaled.T)

    def off_columns(
        self, size: float, at: np.ndarray, response: "OfResponse"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what it takes off the products of some columns and the response with the other blocks, and of their own."""
        share = self._share(size)
        if not self._alike:
            first = np.column_stack([self._columns[:, at], response.z])
            shared = share[:, None] * first
            return self._across @ shared, first.T @ shared
        sums, others = self._sums(size), len(self._across)
        here, mine = others + at, share @ response.sums
        own = np.empty((len(at) + 1, len(at) + 1))
        own[:-1, :-1] = sums[np.ix_(here, here)]
        own[-1, :-1] = own[:-1, -1] = mine[here]
        own[-1, -1] = share @ response.squares
        return np.column_stack([sums[:others, here], mine[:others]]), own

    def of(self, z: np.ndarray) -> "OfResponse":
        """Return a response's part of the sums, from its products with the block, (levels,)."""
        if not self._alike:
            return OfResponse(z, z, z)
        ordered = z[self._order]
        sums = np.add.reduceat(self._all * ordered, self._starts, axis=1).T
        return OfResponse(z, sums, np.add.reduceat(ordered**2, self._starts))

    def _share(self, size: float) -> np.ndarray:
        return np.asarray(size / (1 + size * self._values))

    def _sums(self, size: float) -> np.ndarray:
        return np.asarray(self._seen.once(size, lambda: np.tensordot(self._share(size), self._each, 1)))
