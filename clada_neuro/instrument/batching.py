"""Which sequences go through the model together.

Texts longer than the model's context become overlapping windows. Sequences of one group (conditions of one item after
the same context) share their common prefix, which is computed once. Batches hold sequences of similar length up to a
budget of tokens; no value depends on what else is in the batch.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import numpy as np

WORTH_SHARING = 4  # tokens saved below which a second pass costs more than it saves


@dataclass(frozen=True)
class Window:
    """A stretch of one text that the model sees at once.

    Attributes
    ----------
    text : int
        Which text.
    ids : tuple of int
        Model input, start token included.
    first : int
        Position in the text of the first token after the start token.
    scored : int
        Position in the text of the first token whose values are taken from this window.
    has_start : bool
        Whether `ids` begins with the start token.
    """

    text: int
    ids: tuple[int, ...]
    first: int
    scored: int
    has_start: bool

    def input_position(self, token: int) -> int:
        """Return where a token of the text stands in `ids`."""
        return token - self.first + self.has_start

    @property
    def asked(self) -> int:
        """First input position whose prediction is needed: the one before the first scored token."""
        return max(0, self.input_position(self.scored) - 1)


@dataclass(frozen=True)
class Measures:
    """What is known about one window after the model has read it, by input position.

    Attributes
    ----------
    predictions : dict of numpy.ndarray, each of shape (positions,)
        `information.MEASURES` of the prediction made *at* each position, for the token after it; NaN where not asked.
        Under a policy also ``kl_dense_bits``, how far the prediction is from the dense one.
    activity : dict of numpy.ndarray, each of shape (positions, layers)
        `recorder.MEASURES` of processing each position; under a policy also what it left uncomputed.
    signals : dict of numpy.ndarray, each of shape (positions,)
        The policy's own record of each position.
    """

    predictions: dict[str, np.ndarray]
    activity: dict[str, np.ndarray]
    signals: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """Windows that run together: common prefixes of equal length (or none), then what is particular to each."""

    prefixes: tuple[tuple[int, ...], ...]
    parents: tuple[int, ...]
    windows: tuple[Window, ...]

    @property
    def shared(self) -> int:
        """Length of the prefixes."""
        return len(self.prefixes[0]) if self.prefixes else 0


def split_windows(
    text: int, ids: Sequence[int], start: int | None, longest: int, scored: int = 0
) -> list[Window]:
    """Cut one text into windows of at most `longest` tokens; each after the first overlaps half of the one before."""
    head = () if start is None else (start,)
    room = longest - len(head)
    step = room - room // 2
    windows, end = [], 0
    while end < len(ids):
        first = 0 if end == 0 else end - room // 2
        new_end = min(first + room, len(ids)) if end == 0 else min(end + step, len(ids))
        if new_end > scored:
            piece = (*head, *ids[first:new_end])
            windows.append(Window(text, piece, first, max(end, scored), start is not None))
        end = new_end
    return windows


def plan(windows: Sequence[Window], groups: Sequence[Hashable], budget: int) -> list[Batch]:
    """Arrange windows in batches of about `budget` tokens.

    Parameters
    ----------
    windows : sequence of Window
    groups : sequence of hashable
        Windows of the same group may share a prefix.
    budget : int
        Tokens per batch, padding included; a window longer than this runs alone.
    """
    members = defaultdict(list)
    for window, group in zip(windows, groups, strict=True):
        members[group].append(window)
    alone: list[Window] = []
    families: dict[int, list[list[Window]]] = defaultdict(list)
    for family in members.values():
        shared = _common(family)
        if (len(family) - 1) * shared >= WORTH_SHARING:
            families[shared].append(family)
        else:
            alone.extend(family)
    batches = _plan_alone(alone, budget)
    for shared in sorted(families):
        batches += _plan_families(families[shared], shared, budget)
    return batches


def plan_whole(windows: Sequence[Window], budget: int) -> list[Batch]:
    """Arrange windows in batches of equal length, without shared prefixes: nothing stands in for padding or the past."""
    lengths: dict[int, list[Window]] = defaultdict(list)
    for window in windows:
        lengths[len(window.ids)].append(window)
    return [batch for length in sorted(lengths) for batch in _plan_alone(lengths[length], budget)]


def _common(family: list[Window]) -> int:
    """Return how many tokens can be shared; each window keeps one more common token, which predicts its next one."""
    columns = zip(*(window.ids for window in family), strict=False)
    return max(0, sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns)) - 1)


def _plan_alone(windows: list[Window], budget: int) -> list[Batch]:
    batches: list[Batch] = []
    current: list[Window] = []
    for window in sorted(windows, key=lambda w: len(w.ids)):
        if current and (len(current) + 1) * len(window.ids) > budget:
            batches.append(Batch((), (), tuple(current)))
            current = []
        current.append(window)
    return [*batches, Batch((), (), tuple(current))] if current else batches


def _plan_families(families: list[list[Window]], shared: int, budget: int) -> list[Batch]:
    batches: list[Batch] = []
    current: list[list[Window]] = []
    for family in sorted(families, key=lambda f: max(len(w.ids) for w in f)):
        longest = max(len(window.ids) for window in family) - shared
        rows = len(family) + sum(map(len, current))
        if current and shared * (len(current) + 1) + longest * rows > budget:
            batches.append(_batch(current, shared))
            current = []
        current.append(family)
    return [*batches, _batch(current, shared)]


def _batch(families: list[list[Window]], shared: int) -> Batch:
    prefixes = tuple(family[0].ids[:shared] for family in families)
    parents = tuple(row for row, family in enumerate(families) for _ in family)
    return Batch(prefixes, parents, tuple(window for family in families for window in family))
