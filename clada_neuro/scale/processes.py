"""The workers of a scheduler, each with the same language model, as a place where shards of work are done."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clada_neuro.errors import DataError
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.places import Failure, Here, Key, Places, Result, Shard
from clada_neuro.scale import worker
from clada_neuro.scale.schedulers import connected
from clada_neuro.scale.setting import Setting
from clada_neuro.scale.shards import completed

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class Workers:
    """The workers of a scheduler; each loads the model once.

    Attributes
    ----------
    expected : dict
        What `worker.described_model` must say on each.
    """

    client: "Client"
    setting: Setting
    expected: dict[str, Any]

    def each(
        self, function: Callable[[LanguageModel, Shard], Result], shards: Mapping[Key, Shard]
    ) -> Iterator[tuple[Key, Result | Failure]]:
        """Yield results as workers finish; a shard that fails is retried, then yielded as a `Failure`."""
        yield from completed(self.client, worker.apply, shards, function, self.setting, self.expected)


@contextmanager
def places(setting: Setting, model: LanguageModel, scheduler: str | None = None) -> Iterator[Places]:
    """Yield this process, or the workers that a ``--scheduler`` option names.

    Parameters
    ----------
    setting : Setting
        By which workers load the model.
    model : LanguageModel
        The same one, in this process.
    scheduler : str, optional
        See `clada_neuro.scale.schedulers.connected`.

    Raises
    ------
    DataError
        If the scheduler cannot be used, or workers have other software or another kind of device.
    """
    if scheduler is None:
        yield Here(model)
        return
    with connected(scheduler) as client:
        setting, expected = setting.everywhere(), worker.described_model(model)
        found = description(client, setting, worker.describe_model)
        found["model"]["linear"] = expected["model"]["linear"]  # which a worker takes from there
        worker.refuse_other(found, expected)
        yield Workers(client, setting, expected)


def description(
    client: "Client",
    setting: Setting,
    describe: Callable[[Setting], tuple[dict[str, Any], dict[str, str]]] = worker.describe,
) -> dict[str, Any]:
    """Return what a worker says of the setting once it has loaded it."""
    ((_, found),) = completed(client, describe, {0: setting})
    if isinstance(found, Failure):
        raise DataError(f"no worker can load model '{setting.model}': {found.reason}")
    described, theirs = found
    for name, version in worker.software().items():
        if theirs.get(name) != version:
            raise DataError(
                f"the workers have {name} {theirs.get(name)}, this process has {version}; install the same"
            )
    return described
