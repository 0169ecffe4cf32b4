"""Where shards of work are done: in this process, or wherever `clada_neuro.scale` sends them.

What a shard holds is decided by the input, never by where it goes, so every place gives the same bits.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from clada_neuro.errors import IncompleteError
from clada_neuro.models.loading import LanguageModel

Key = TypeVar("Key", bound=Hashable)
Shard = TypeVar("Shard")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Failure:
    """Why a shard has no result after all attempts."""

    reason: str


class Places(Protocol):
    """Processes that hold the same language model."""

    def each(
        self, function: Callable[[LanguageModel, Shard], Result], shards: Mapping[Key, Shard]
    ) -> Iterator[tuple[Key, Result | Failure]]:
        """Yield each shard's key and the function's result, as they come.

        The function is one of a module, which other processes can import.
        """


@dataclass(frozen=True)
class Here:
    """One shard after the other in this process."""

    model: LanguageModel

    def each(
        self, function: Callable[[LanguageModel, Shard], Result], shards: Mapping[Key, Shard]
    ) -> Iterator[tuple[Key, Result | Failure]]:
        """Yield results in the order of the shards."""
        for key, shard in shards.items():
            yield key, function(self.model, shard)


def map_shards(
    places: Places, function: Callable[[LanguageModel, Shard], Result], shards: Sequence[Shard]
) -> list[Result]:
    """Return the function's results in the order of the shards, all or none.

    Raises
    ------
    IncompleteError
        If shards failed; names them and the first reason.
    CladaNeuroError
        As the function raises it.
    """
    found = dict(places.each(function, dict(enumerate(shards))))
    failed = {number: result for number, result in found.items() if isinstance(result, Failure)}
    if failed:
        number, first = min(failed.items())
        raise IncompleteError(
            f"{len(failed)} of {len(shards)} shards failed every time; the first is {number}: {first.reason}; "
            "the same command goes on from what is finished"
        )
    return [found[number] for number in range(len(shards))]  # type: ignore[misc]
