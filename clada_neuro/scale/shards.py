"""Apply a function to shards on the workers of a scheduler: failures are retried, then named; nothing is lost."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from clada_neuro.errors import CladaNeuroError, DataError
from clada_neuro.models.places import Failure, Key, Result, Shard
from clada_neuro.scale.schedulers import ATTEMPTS

if TYPE_CHECKING:
    from distributed import Client, Future


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
