"""Apply a function to shards on the workers of a scheduler: failures are retried, then named; nothing is lost."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from clada_neuro.errors import CladaNeuroError, DataError, IncompleteError
from clada_neuro.instrument.shards import Failure
from clada_neuro.scale.schedulers import ATTEMPTS, connected

if TYPE_CHECKING:
    from distributed import Client, Future

Key = TypeVar("Key", bound=Hashable)
Shard = TypeVar("Shard")
Result = TypeVar("Result")


def map_shards(
    function: Callable[[Shard], Result], shards: Sequence[Shard], scheduler: str | None = None
) -> list[Result]:
    """Return the function's results in the order of the shards.

    Parameters
    ----------
    function : callable
        Importable on the workers, as are its arguments' types. What it loads once, it should keep in a cache of its
        own process; a worker runs one shard at a time unless it was started with several threads.
    shards : sequence
    scheduler : str, optional
        See `clada_neuro.scale.schedulers.connected`; without it everything runs here, one after the other.

    Raises
    ------
    IncompleteError
        If shards failed three times; names them and the first reason.
    CladaNeuroError
        As the function raises it.
    """
    if scheduler is None:
        return [function(shard) for shard in shards]
    with connected(scheduler) as client:
        found = dict(completed(client, function, dict(enumerate(shards))))
    failed = {number: result for number, result in found.items() if isinstance(result, Failure)}
    if failed:
        number, first = min(failed.items())
        raise IncompleteError(
            f"{len(failed)} of {len(shards)} shards failed {ATTEMPTS} times; the first is {number}: {first.reason}"
        )
    return [found[number] for number in range(len(shards))]  # type: ignore[misc]


def completed(
    client: "Client", function: Callable[..., Result], shards: Mapping[Key, Shard], *arguments: Any
) -> Iterator[tuple[Key, Result | Failure]]:
    """Yield each shard's key and ``function(shard, *arguments)``, as results come.

    No more shards are under way than there are workers. So memory is bounded here and at the scheduler, and a shard
    that takes its worker down is not confused with one that only waited behind it.

    Raises
    ------
    CladaNeuroError
        As the function raises it: the user's input is wrong on every worker.
    DataError
        If the scheduler goes away.
    """
    from distributed import as_completed

    waiting, under_way = iter(shards.items()), as_completed(loop=client.loop)
    keys: dict[Future, Key] = {}

    def send() -> None:
        for key, shard in islice(waiting, max(1, len(client.nthreads())) - len(keys)):
            future = client.submit(
                _guarded, function, shard, *arguments, pure=False, retries=ATTEMPTS - 1, key=None
            )
            keys[future] = key
            under_way.add(future)

    send()
    for future in under_way:
        if future.status == "lost" and client.status == "running":
            under_way.add(future)  # its worker died before the result was fetched; it is computed again
            continue
        key = keys.pop(future)
        result = _outcome(future)
        del future
        send()
        yield key, result


def _guarded(function: Callable[..., Result], *arguments: Any) -> Result | CladaNeuroError:
    """Hand the user's errors back as values: another attempt would not help."""
    try:
        return function(*arguments)
    except CladaNeuroError as error:
        return error


def _outcome(future: "Future") -> Any:
    if future.status == "finished":
        result = future.result()
        if isinstance(result, CladaNeuroError):
            raise result
        return result
    if future.status == "error":
        return Failure(_reason(future.exception()))
    raise DataError(
        "the scheduler went away; what was finished is kept, and the same command goes on from there"
    )


def _reason(error: BaseException) -> str:
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return "its worker died each time, as a process does that needs more memory than there is"
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
