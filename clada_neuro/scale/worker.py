"""What runs in a worker process: one model, loaded once, measuring one shard at a time with a fixed number of threads.

Its linear maps take the routes that the first process chose, whichever are the fastest here.
"""

import threading
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from clada_neuro.cache import made_with
from clada_neuro.errors import DataError
from clada_neuro.instrument.measurer import ModelMeasurer
from clada_neuro.instrument.shards import Frames
from clada_neuro.models import linear
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.places import Failure, Result, Shard
from clada_neuro.scale.setting import Setting

_ONE_AT_A_TIME = threading.Lock()  # a worker that was started with several threads has one model all the same


@lru_cache(maxsize=1)
def _loaded(setting: Setting) -> LanguageModel:
    return setting.load()


@lru_cache(maxsize=1)
def _measurer(setting: Setting) -> ModelMeasurer:
    return setting.measurer(progress=False, model=_loaded(setting.of_model()))


def _prepared(setting: Setting) -> ModelMeasurer:
    measurer = _measurer(setting)
    torch.set_num_threads(setting.threads or 1)  # each thread of a process has its own count
    return measurer


def _prepared_model(setting: Setting) -> LanguageModel:
    model = _loaded(setting.of_model())
    torch.set_num_threads(setting.threads or 1)
    return model


def describe(setting: Setting) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what a manifest records of the setting, and the versions that this worker computes with."""
    with _ONE_AT_A_TIME:
        return _prepared(setting).described, software()


def describe_model(setting: Setting) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the same of the model alone."""
    with _ONE_AT_A_TIME:
        return described_model(_prepared_model(setting)), software()


def described_model(model: LanguageModel) -> dict[str, Any]:
    """Return what decides what a model computes here."""
    return {"model": model.describe(), "threads": model.threads}


def software() -> dict[str, str]:
    """Return what must be the same in every process: versions, and a hash of the code that a worker runs."""
    return made_with(__name__)


def measure(stimuli: pd.DataFrame, setting: Setting, expected: dict[str, Any]) -> dict[str, bytes]:
    """Return a shard's tables as parquet files.

    Raises
    ------
    DataError
        If this worker would compute another result than the one that was asked first.
    """
    with _ONE_AT_A_TIME:
        measurer = _prepared(setting)
        linear.take(measurer.model.model, expected["model"]["linear"])
        refuse_other(measurer.described, expected)
        ((_, frames),) = measurer.measure({0: stimuli})
    assert not isinstance(frames, Failure)
    return {name: _to_parquet(frame) for name, frame in frames.items()}


def apply(
    shard: Shard,
    function: Callable[[LanguageModel, Shard], Result],
    setting: Setting,
    expected: dict[str, Any],
) -> Result:
    """Return ``function(model, shard)``; raise as `measure` does."""
    with _ONE_AT_A_TIME:
        model = _prepared_model(setting)
        linear.take(model.model, expected["model"]["linear"])
        refuse_other(described_model(model), expected)
        return function(model, shard)


def unpack(tables: dict[str, bytes]) -> Frames:
    """Return tables from parquet files."""
    return {name: pq.read_table(BytesIO(content)).to_pandas() for name, content in tables.items()}


def _to_parquet(frame: pd.DataFrame) -> bytes:
    buffer = BytesIO()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), buffer)
    return buffer.getvalue()


def refuse_other(described: dict[str, Any], expected: dict[str, Any]) -> None:
    """Raise `DataError` where two processes would not compute the same."""
    found, wanted = ({**one, **one["model"]} for one in (described, expected))
    for name, value in wanted.items():
        if name not in ("model", linear.SPEEDS) and found.get(name) != value:
            raise DataError(
                f"processes differ in {name}: {found.get(name)} on one, {value} on another; their results must not be "
                "mixed, so give workers of one kind"
            )
