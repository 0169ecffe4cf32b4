"""Texts packed into token trees, in which a prefix that texts have in common stands once.

A tree is one row of a pass: its nodes are tokens in the order of the sorted texts, each at the position that its depth
gives, and a node attends to itself and the nodes above it. So every text is computed as if it were alone, no two texts
compute the same prefix twice, and only the end of a row is padding. A forest too large for one row is cut between
texts, and each row begins again with what its first text needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clada_neuro.instrument.batching import Window

WIDEST = 256  # nodes of a row: attention grows with their square, and nothing is gained beyond
ABREAST = 16  # products take this many rows at a time, and fewer cost as much


@dataclass(frozen=True)
class Tree:
    """Texts of one row.

    Attributes
    ----------
    ids, depths, parents : tuple of int, one a node
        Token, distance from the beginning of its texts, and place of the node above (-1 where there is none).
    windows : tuple of Window
    paths : tuple of tuple of int
        Of each window, the node of every input position.
    """

    ids: tuple[int, ...]
    depths: tuple[int, ...]
    parents: tuple[int, ...]
    windows: tuple[Window, ...]
    paths: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Branches:
    """How the nodes of a pass hang together; a node of padding hangs on nothing.

    Attributes
    ----------
    parents : torch.Tensor of int, shape (rows, seq)
        Place of the node above, -1 where there is none.
    above : torch.Tensor of bool, shape (rows, seq, seq)
        Whether the second node stands above the first.
    """

    parents: Tensor
    above: Tensor

    def to(self, device: torch.device) -> "Branches":
        """Return them on a device."""
        return Branches(self.parents.to(device), self.above.to(device))


@dataclass(frozen=True)
class Followed:
    """What is asked of a pass: a node's prediction is one, however many texts it has, what follows it may differ.

    Attributes
    ----------
    nodes : torch.Tensor of int
        Where predictions are made, as places among all nodes of the pass.
    of, targets : torch.Tensor of int
        Of each prediction with what follows: its place in `nodes`, and the token that came, -1 where none did.
    places : list of list of int
        Of each window, tree by tree, its predictions in `of`, from the first that is asked.
    """

    nodes: Tensor
    of: Tensor
    targets: Tensor
    places: list[list[int]]


class _Growing:
    """A tree to which texts are added in sorted order."""

    def __init__(self) -> None:
        self.nodes: list[tuple[int, int, int]] = []
        self.windows: list[Window] = []
        self.paths: list[tuple[int, ...]] = []

    def shared(self, window: Window) -> int:
        """Return how many tokens a text has in common with the one before: with no other it has more."""
        before = self.windows[-1].ids if self.windows else ()
        pairs = enumerate(zip(before, window.ids, strict=False))
        return next(
            (place for place, (one, other) in pairs if one != other), min(len(before), len(window.ids))
        )

    def add(self, window: Window) -> None:
        path = list(self.paths[-1][: self.shared(window)]) if self.paths else []
        for depth in range(len(path), len(window.ids)):
            self.nodes.append((window.ids[depth], depth, path[-1] if path else -1))
            path.append(len(self.nodes) - 1)
        self.windows.append(window)
        self.paths.append(tuple(path))

    def finished(self) -> Tree:
        ids, depths, parents = zip(*self.nodes, strict=True)
        return Tree(ids, depths, parents, tuple(self.windows), tuple(self.paths))


def plant(windows: Sequence[Window], widest: int = WIDEST) -> list[Tree]:
    """Pack windows into trees of at most `widest` nodes; a longer window has a tree of its own."""
    trees, growing = [], _Growing()
    for window in sorted(windows, key=lambda one: one.ids):
        if growing.windows and len(growing.nodes) + len(window.ids) - growing.shared(window) > widest:
            trees.append(growing.finished())
            growing = _Growing()
        growing.add(window)
    return [*trees, growing.finished()] if growing.windows else trees


def passes(trees: Sequence[Tree], budget: int) -> list[list[Tree]]:
    """Arrange trees of similar size in passes of at most `budget` nodes with padding; a larger tree runs alone."""
    found: list[list[Tree]] = []
    for tree in sorted(trees, key=len):
        if found and (len(found[-1]) + 1) * len(tree) <= budget:
            found[-1].append(tree)
        else:
            found.append([tree])
    return found


def padded(trees: Sequence[Tree], fewest: int = 0) -> tuple[Tensor, Tensor, Branches]:
    """Return token ids and positions, each (rows, seq), and the branches of a pass over at least `fewest` nodes."""
    rows = len(trees)
    width = max(max(map(len, trees)), -(-fewest // rows))
    if rows * width > ABREAST:
        width = -(-width // ABREAST) * ABREAST
    ids, depths = np.zeros((rows, width), np.int64), np.zeros((rows, width), np.int64)
    parents, above = np.full((rows, width), -1), np.zeros((rows, width, width), bool)
    for row, tree in enumerate(trees):
        size = len(tree)
        ids[row, :size], depths[row, :size], parents[row, :size] = tree.ids, tree.depths, tree.parents
        for node, parent in enumerate(tree.parents):
            if parent >= 0:
                above[row, node] = above[row, parent]
                above[row, node, parent] = True
    branches = Branches(torch.from_numpy(parents), torch.from_numpy(above))
    return torch.from_numpy(ids), torch.from_numpy(depths), branches


def followed(trees: Sequence[Tree], width: int) -> Followed:
    """Return which predictions are asked of a pass over rows of `width` nodes."""
    nodes: dict[int, int] = {}
    pairs: dict[tuple[int, int], int] = {}
    places = []
    for row, tree in enumerate(trees):
        for window, path in zip(tree.windows, tree.paths, strict=True):
            came = (*window.ids[1:], -1)
            asked = [(row * width + path[place], came[place]) for place in range(window.asked, len(path))]
            places.append([pairs.setdefault(pair, len(pairs)) for pair in asked])
            for node, _ in asked:
                nodes.setdefault(node, len(nodes))
    of = torch.tensor([nodes[node] for node, _ in pairs])
    return Followed(torch.tensor(list(nodes)), of, torch.tensor([target for _, target in pairs]), places)


def attention(branches: Branches, dtype: torch.dtype) -> Tensor:
    """Return what is added to attention scores, (rows, 1, seq, seq): nothing above a node and at it, else the lowest number."""
    above = branches.above
    unseen = ~(above | torch.eye(above.shape[-1], dtype=torch.bool, device=above.device))
    return torch.zeros_like(above, dtype=dtype).masked_fill_(unseen, torch.finfo(dtype).min)[:, None]
