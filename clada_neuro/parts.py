"""Where the independent parts of a stage are computed: in this process, in several, or wherever `clada_neuro.scale` sends them.

Replicates of a bootstrap, electrodes of a map, subjects of an overlap, folds of a profile over layers: each result
depends on its part alone and is computed with one thread of linear algebra, so that every place gives the same bytes.
"""

import os
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar
from uuid import uuid4

from joblib import Parallel, delayed, parallel_config
from threadpoolctl import ThreadpoolController

Key = TypeVar("Key", bound=Hashable)
Part = TypeVar("Part")
Result = TypeVar("Result")

_WORTH_PROCESSES_S = 8.0


class Place(Protocol):
    """Where parts are computed."""

    @property
    def count(self) -> int:
        """How many are computed at once."""

    def each(
        self, function: Callable[..., Result], parts: Mapping[Key, Part], *shared: Any
    ) -> Iterator[tuple[Key, Result]]:
        """Yield each part's key and ``function(part, *shared)``, as they come.

        The function and what is shared travel once to each process and must be picklable, as parts and results.

        Raises
        ------
        IncompleteError
            If parts could not be computed elsewhere; all others were yielded.
        Exception
            As the function raises it.
        """


Jobs = int | Place  # processes of this machine, or another place


def place_of(jobs: Jobs) -> Place:
    """Return the place that a number of processes of this machine is, or the place given."""
    return Processes(jobs) if isinstance(jobs, int) else jobs


@dataclass(frozen=True)
class Processes:
    """So many processes of this machine, one of which is this one."""

    count: int = 1

    def each(
        self, function: Callable[..., Result], parts: Mapping[Key, Part], *shared: Any
    ) -> Iterator[tuple[Key, Result]]:
        """Yield results in the order of the parts."""
        waiting, count = iter(parts.items()), self.count
        call = Call(function, shared)
        if count > 1:
            # The first one says whether processes are worth their start.
            started = time.monotonic()
            yield from ((key, call(part)) for key, part in islice(waiting, 1))
            if (time.monotonic() - started) * (len(parts) - 1) <= _WORTH_PROCESSES_S:
                count = 1
        if count <= 1:
            yield from ((key, call(part)) for key, part in waiting)
            return
        # joblib's workers import neither a user's script (which then needs no main guard) nor a fork of a fitted parent's
        # threads; parts are the unit of parallel work, so that more threads a process would only contend.
        # The call goes with every batch, under a name by which workers, whose start takes seconds and who serve all tasks
        # of a run, keep the one that they have prepared; arrays are copied, since tasks may write to them.
        rest = dict(waiting)
        with parallel_config("loky", n_jobs=count, inner_max_num_threads=1, initializer=_one_thread):
            given = uuid4().hex
            calls = (delayed(_call)(given, call, part) for part in rest.values())
            yield from zip(rest, Parallel(return_as="generator", max_nbytes=None)(calls), strict=True)


class Call:
    """A function with what its parts share; calling it with a part computes that in one thread of linear algebra."""

    def __init__(self, function: Callable[..., Any], shared: tuple[Any, ...]) -> None:
        self._function, self._shared = function, shared
        self._pools: ThreadpoolController | None = None  # of this process

    def __call__(self, part: Any) -> Any:
        """Return what the function makes of a part."""
        self._pools = self._pools or ThreadpoolController()
        with self._pools.limit(limits=1):
            return self._function(part, *self._shared)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_pools": None}


def _one_thread() -> None:
    os.environ.setdefault("RAYON_NUM_THREADS", "1")  # mixedlm's own pool, which joblib does not know


_prepared: dict[str, Call] = {}  # of a worker: the one that it has now


def _call(given: str, call: Call, part: Any) -> Any:
    if given not in _prepared:
        _prepared.clear()
        _prepared[given] = call
    return _prepared[given](part)
