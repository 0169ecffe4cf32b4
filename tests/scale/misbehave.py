"""Functions for worker processes that fail in every way a shard can."""

import os
import signal
import time
from pathlib import Path

from distributed import WorkerPlugin

from clada_neuro.errors import StimulusError
from clada_neuro.models.loading import LanguageModel


def double(value: int) -> int:
    return 2 * value


def double_with_model(model: LanguageModel, value: int) -> tuple[str, int]:
    return type(model.model).__name__, double(value)


def raise_on_three_with_model(model: LanguageModel, value: int) -> int:
    return raise_on_three(value)


def raise_on_three(value: int) -> int:
    if value == 3:
        raise ValueError("three is broken")
    return value


def complain(value: int) -> int:
    raise StimulusError(f"row {value} is wrong")


def count_attempts(folder: str) -> str:
    """Raise always, leaving a file each time."""
    (Path(folder) / f"{time.monotonic_ns()}").touch()
    raise OSError("disk full")


class Poison(WorkerPlugin):
    """Makes every worker, restarted ones too, die of a shard with one stimulus, and leave a file each time."""

    name = "poison"

    def __init__(self, stimulus_id: str, folder: str) -> None:
        self.stimulus_id = stimulus_id
        self.folder = folder

    def setup(self, worker) -> None:
        from clada_neuro.scale import worker as module

        measure = module.measure

        def poisoned(stimuli, *rest):
            if stimuli["stimulus_id"].eq(self.stimulus_id).any():
                (Path(self.folder) / f"{time.monotonic_ns()}").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return measure(stimuli, *rest)

        poisoned.__module__, poisoned.__qualname__ = measure.__module__, measure.__qualname__
        module.measure = poisoned
