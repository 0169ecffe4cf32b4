"""Where finished parts of a trace are kept: in memory, or on disk so that an interrupted trace can go on."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from clada_neuro.artifacts import join_tables
from clada_neuro.cache import INPUTS, TABLE, Store
from clada_neuro.errors import IncompleteError

LAYERS = "layers"  # where activity is measured
TABLES = ("tokens", LAYERS, "words")
TOP_K, WORD_LAYERS = "top_k", "word_layers"  # on request
CHARACTERS = 16_000  # of text in one shard: some twenty seconds of a small model on two cores

Frames = dict[str, pd.DataFrame]


class Shards(Protocol):
    """Keeps the tables of each shard until all are there."""

    def has(self, number: int) -> bool:
        """Return whether a shard is finished."""

    def put(self, number: int, frames: Frames) -> None:
        """Keep a finished shard."""

    def finish(self, n_shards: int, missing: Collection[int] = ()) -> "Path | Frames":
        """Join the shards; return the tables or the folder they are in.

        With shards missing, the rest is delivered, and none of it counts as a finished trace.
        """


class Memory:
    """Shards of a trace that is not written to disk."""

    def __init__(self) -> None:
        self._shards: dict[int, Frames] = {}

    def has(self, number: int) -> bool:
        """Return False: nothing outlives the call."""
        return False

    def put(self, number: int, frames: Frames) -> None:
        """Keep a shard's tables."""
        self._shards[number] = frames

    def finish(self, n_shards: int, missing: Collection[int] = ()) -> Frames:
        """Return the joined tables."""
        ordered = [self._shards[number] for number in sorted(self._shards)]
        return {name: pd.concat([shard[name] for shard in ordered], ignore_index=True) for name in ordered[0]}


class Disk:
    """Shards as parquet files in ``<folder>/shards``, each bound to what it was computed from.

    Parameters
    ----------
    folder : Path
    inputs : str
        The `cache_key` of stimuli, model and settings; shards of other inputs are computed anew.
    tables : sequence of str
        Which tables each shard has.
    """

    def __init__(self, folder: Path, inputs: str, tables: Sequence[str] = TABLES) -> None:
        self._tables = tables
        self._whole = Store(folder, inputs, TABLE)
        self._parts = Store(folder / "shards", inputs, TABLE)
        self._complete = self._whole.has(*tables)

    def has(self, number: int) -> bool:
        """Return whether the shard, or the whole trace, is on disk."""
        return self._complete or self._parts.has(*(_part(number, name) for name in self._tables))

    def put(self, number: int, frames: Frames) -> None:
        """Write a shard's tables."""
        for name in self._tables:
            self._parts.write(_part(number, name), frames[name])

    def finish(self, n_shards: int, missing: Collection[int] = ()) -> Path:
        """Join the shards into one file a table, remove them unless some are missing, and return the folder."""
        provenance = {"incomplete" if missing else INPUTS: self._whole.key}
        if not self._complete:
            for name in self._tables:
                numbers = [number for number in range(n_shards) if number not in missing]
                parts = [self._parts.path(_part(number, name)) for number in numbers]
                join_tables(parts, self._whole.path(name), provenance)
        for name in {LAYERS, TOP_K, WORD_LAYERS}.difference(self._tables):
            self._whole.path(name).unlink(missing_ok=True)  # of another trace
        if not missing:
            self._parts.clear()
        return self._whole.folder


def _part(number: int, name: str) -> str:
    return f"{number:05d}.{name}"


def names_of(described: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which tables a trace has, by its manifest: no layers where no activity was measured."""
    names = tuple(name for name in TABLES if name != LAYERS or not described.get("activity"))
    asked = {TOP_K: described.get("top_k"), WORD_LAYERS: described.get("word_layers", {}).get("layers")}
    return (*names, *(name for name, given in asked.items() if given))


def cut(stimuli: pd.DataFrame) -> list[pd.DataFrame]:
    """Cut stimuli into consecutive shards of about `CHARACTERS`; a longer text is a shard of its own."""
    length = stimuli["sentence"].astype(str).str.len()
    if "context" in stimuli:
        length = length + stimuli["context"].fillna("").astype(str).str.len()
    pieces, start, filled = [], 0, 0
    for row, size in enumerate(length):
        if row > start and filled + size > CHARACTERS:
            pieces.append(stimuli.iloc[start:row])
            start, filled = row, 0
        filled += int(size)
    return [*pieces, stimuli.iloc[start:]]


def rows_of(stimuli: pd.DataFrame, failed: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return the rows (from 1) and stimuli of failed shards, with the reason."""
    shards = cut(stimuli)
    ends = np.cumsum([len(shard) for shard in shards])
    return [
        {
            "rows": [int(ends[number]) - len(shards[number]) + 1, int(ends[number])],
            "stimulus_ids": shards[number]["stimulus_id"].tolist(),
            "reason": reason,
        }
        for number, reason in failed.items()
    ]


def refuse_failed(stimuli: pd.DataFrame, failed: Mapping[int, str]) -> None:
    """Raise `IncompleteError` if shards failed."""
    if not failed:
        return
    missing = rows_of(stimuli, failed)
    rows = ", ".join("{}-{}".format(*one["rows"]) for one in missing)
    count = sum(len(one["stimulus_ids"]) for one in missing)
    raise IncompleteError(
        f"{count} of {len(stimuli)} stimuli could not be measured (rows {rows}; {missing[0]['reason']}); "
        "the tables hold the rest, and the same command tries the missing ones again"
    )
