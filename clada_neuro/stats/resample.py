"""Run many seeded replicates: in parallel processes, with progress, and so that a later call resumes."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, parallel_config

from clada_neuro.artifacts import content_hash, output_folder
from clada_neuro.cache import TABLE, Store
from clada_neuro.progress import ProgressBar
from clada_neuro.stats.model import Model

T = TypeVar("T")
Replicate = Callable[[int], dict[str, float]]

_SAVE_EVERY_S = 20.0
_WORTH_PROCESSES_S = 8.0
_WORTH_SAYING_S = 60.0


def replicate(
    task: Replicate,
    count: int,
    *,
    name: str,
    inputs: str,
    jobs: int = 1,
    folder: str | Path | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Return one row for each of ``task(0) … task(count - 1)``, in order.

    Parameters
    ----------
    task
        Picklable; its result depends on its argument only, so that neither ``jobs`` nor a resume changes a value.
    inputs
        Hash of what the task was made from. Rows in ``folder/name.parquet`` are reused when it agrees, and with it the
        task's code and the versions of the packages behind it.
    jobs
        Processes.
    """
    store = None if folder is None else Store.of(output_folder(folder), task.__module__, inputs, codec=TABLE)
    rows = {} if store is None else _rows(store.read(name))
    missing = [r for r in range(count) if r not in rows]
    saved = time.monotonic()
    with ProgressBar(total=count, initial=count - len(missing), desc=name, disable=not progress) as bar:
        for done, (r, row) in enumerate(outcomes(task, missing, jobs), start=1):
            rows[r] = row
            bar.update()
            if progress and done == 1:
                _announce(name, time.monotonic() - saved, len(missing) - 1, jobs)
            if store is not None and time.monotonic() - saved > _SAVE_EVERY_S:
                store.write(name, _table(rows))
                saved = time.monotonic()
    if store is not None and missing:
        store.write(name, _table(rows))
    return pd.DataFrame([rows[r] for r in range(count)])


def _announce(name: str, each: float, left: int, jobs: int) -> None:
    """Say how long the rest will take when that is minutes; the first replicate also prepares the model."""
    expected = each * left / min(jobs, max(left, 1))
    if expected > _WORTH_SAYING_S:
        shared = f" in {jobs} processes" if jobs > 1 else ""
        ProgressBar.write(
            f"{name}: {left} more fits of about {each:.1f} s{shared}: about {expected / 60:.0f} minutes; interrupt at "
            "any time, finished ones are kept where an output folder is given",
            file=sys.stderr,
        )


def identity(*models: Model, settings: object = None) -> str:
    """Return a hash of models and of the data they are fitted to, for `replicate`'s ``inputs``.

    Not of their fits: two predictors that differ in their unit only, or two codings of a factor, have one likelihood.
    """
    return content_hash(settings, [(model.formula.text, model.design) for model in models])


def percentile_interval(values: Iterable[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """Return lower limit, median and upper limit of the finite values."""
    known = np.asarray(list(values), dtype=float)
    known = known[np.isfinite(known)]
    if not len(known):
        return np.nan, np.nan, np.nan
    low, median, high = np.quantile(known, [(1 - confidence) / 2, 0.5, (1 + confidence) / 2])
    return float(low), float(median), float(high)


def _rows(table: pd.DataFrame | None) -> dict[int, dict[str, float]]:
    return {} if table is None else {int(row.pop("replicate")): row for row in table.to_dict("records")}


def _table(rows: dict[int, dict[str, float]]) -> pd.DataFrame:
    return pd.DataFrame([{"replicate": r, **rows[r]} for r in sorted(rows)])


def outcomes(task: Callable[[int], T], numbers: list[int], jobs: int) -> Iterator[tuple[int, T]]:
    """Yield each number with what the task, which must be picklable, makes of it, in order, in so many processes."""
    if jobs > 1 and numbers:
        # The first one says whether processes are worth their start.
        started = time.monotonic()
        yield numbers[0], task(numbers[0])
        numbers = numbers[1:]
        jobs = jobs if (time.monotonic() - started) * len(numbers) > _WORTH_PROCESSES_S else 1
    if jobs <= 1:
        yield from ((r, task(r)) for r in numbers)
        return
    # joblib's workers import neither a user's script (which then needs no main guard) nor a fork of a fitted parent's
    # threads; replicates are the unit of parallel work, so that more threads a process would only contend.
    # The task goes with every batch, under a name by which workers, whose start takes seconds and who serve all tasks of
    # a run, keep the one that they have prepared; arrays are copied, since tasks may write to them.
    with parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1, initializer=_one_thread):
        given = uuid4().hex
        calls = (delayed(_call)(given, task, number) for number in numbers)
        yield from zip(numbers, Parallel(return_as="generator", max_nbytes=None)(calls), strict=True)


def _one_thread() -> None:
    os.environ.setdefault("RAYON_NUM_THREADS", "1")  # mixedlm's own pool, which joblib does not know


_prepared: dict[str, Callable[[int], Any]] = {}  # of a worker: the task that it has now


def _call(given: str, task: Callable[[int], T], number: int) -> T:
    if given not in _prepared:
        _prepared.clear()
        _prepared[given] = task
    found: T = _prepared[given](number)
    return found
