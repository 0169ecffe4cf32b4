"""Parts of a stage on the workers of a scheduler, with the bytes that this machine gives."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from clada_neuro.cache import made_with
from clada_neuro.errors import DataError, IncompleteError
from clada_neuro.parts import Call, Key, Part, Place, Processes, Result

if TYPE_CHECKING:
    from distributed import Client

_ONE_AT_A_TIME = threading.Lock()  # what is shared is prepared once a process, for one thread


@contextmanager
def placed(scheduler: str | None, jobs: int = 1) -> "Iterator[Place]":
    """Yield so many processes of this machine, or the workers that a ``--scheduler`` option names.

    Raises
    ------
    DataError
        If the scheduler cannot be used.
    """
    if scheduler is None:
        yield Processes(jobs)
        return
    from clada_neuro.scale.schedulers import connected

    with connected(scheduler) as client:
        yield OnWorkers(client)


@dataclass(frozen=True)
class OnWorkers:
    """The workers of a scheduler."""

    client: "Client"

    @property
    def count(self) -> int:
        """The number of workers."""
        return max(1, len(self.client.nthreads()))

    def each(
        self, function: Callable[..., Result], parts: Mapping[Key, Part], *shared: Any
    ) -> Iterator[tuple[Key, Result]]:
        """Yield results as workers finish; a part that fails is tried again, and named in the end.

        Raises
        ------
        DataError
            If workers would compute with other code or packages.
        IncompleteError
        """
        if not parts:
            return
        from clada_neuro.models.places import Failure
        from clada_neuro.scale.shards import completed

        self._check(function.__module__)
        sent = self.client.submit(_given, function, *shared, pure=False)
        failed = {}
        for key, found in completed(self.client, _apply, parts, sent):
            if isinstance(found, Failure):
                failed[key] = found.reason
            else:
                yield key, found
        if failed:
            name, reason = next(iter(failed.items()))
            raise IncompleteError(
                f"{len(failed)} of {len(parts)} parts could not be computed on workers, such as {name}: {reason}; the others "
                "are kept, and the same command goes on from there"
            )

    def _check(self, module: str) -> None:
        theirs = self.client.submit(_software, module, pure=False).result()
        for name, version in made_with(module).items():
            if theirs.get(name) != version:
                raise DataError(
                    f"the workers have {name} {theirs.get(name)}, this process has {version}; install the same"
                )


def _software(module: str) -> dict[str, str]:
    import_module(module)  # which this worker has not seen yet
    return made_with(module)


def _given(function: Callable[..., Any], *shared: Any) -> Call:
    os.environ.setdefault("RAYON_NUM_THREADS", "1")  # before mixedlm starts its pool
    return Call(function, shared)


def _apply(part: Any, call: Call) -> Any:
    with _ONE_AT_A_TIME:
        return call(part)
