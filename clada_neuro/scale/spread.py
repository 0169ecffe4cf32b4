"""A trace whose shards are measured here or by the workers of a scheduler, with the same bits either way."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from clada_neuro.instrument.shards import Frames
from clada_neuro.instrument.trace import Trace, collect
from clada_neuro.models.places import Failure
from clada_neuro.progress import ProgressBar
from clada_neuro.scale import worker
from clada_neuro.scale.processes import description
from clada_neuro.scale.schedulers import connected
from clada_neuro.scale.setting import Setting
from clada_neuro.scale.shards import completed

if TYPE_CHECKING:
    from distributed import Client


def trace_by(
    setting: Setting,
    stimuli: pd.DataFrame,
    out: str | Path | None,
    scheduler: str | None = None,
    progress: bool = True,
) -> Trace:
    """Trace stimuli under a setting.

    Parameters
    ----------
    setting : Setting
    stimuli : pandas.DataFrame
    out : str or Path, optional
        As for `clada_neuro.trace`; finished shards are kept there. None keeps the tables in memory.
    scheduler : str, optional
        See `clada_neuro.scale.schedulers.connected`; without it the model runs in this process. Models and
        calibrations that are files must lie under the same path on every worker.
    progress : bool
        Show a bar on stderr.

    Raises
    ------
    IncompleteError
        If shards failed three times; the tables hold the rest.
    CladaNeuroError
        As `clada_neuro.trace`, or if the scheduler cannot be used.
    """
    if scheduler is None:
        return collect(stimuli, setting.measurer(progress), out)
    with connected(scheduler) as client:
        return collect(stimuli, WorkersMeasurer(client, setting.everywhere(), progress), out)


@dataclass(frozen=True)
class WorkersMeasurer:
    """Measures stimuli on the workers of a scheduler; each loads the model once."""

    client: "Client"
    setting: Setting
    progress: bool

    @cached_property
    def described(self) -> dict[str, Any]:
        """Model, language, policy and threads, as a worker found them."""
        return description(self.client, self.setting)

    def measure(self, shards: Mapping[int, pd.DataFrame]) -> Iterator[tuple[int, Frames | Failure]]:
        """Yield the tables of each shard as they come."""
        total = sum(map(len, shards.values()))
        with ProgressBar(
            total=total, desc="trace", unit="text", disable=not (self.progress and shards)
        ) as bar:
            for number, found in completed(self.client, worker.measure, shards, self.setting, self.described):
                bar.update(len(shards[number]))
                yield number, found if isinstance(found, Failure) else worker.unpack(found)
