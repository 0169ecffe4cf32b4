"""Run many seeded replicates: in parallel processes, with progress, and so that a later call resumes."""

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from clada_neuro.artifacts import content_hash, output_folder
from clada_neuro.cache import TABLE, Store
from clada_neuro.parts import Jobs, place_of
from clada_neuro.progress import ProgressBar
from clada_neuro.stats.model import Model

Replicate = Callable[[int], dict[str, float]]

_SAVE_EVERY_S = 20.0
_WORTH_SAYING_S = 60.0


def replicate(
    task: Replicate,
    count: int,
    *,
    name: str,
    inputs: str,
    jobs: Jobs = 1,
    folder: str | Path | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Return one row for each of ``task(0) … task(count - 1)``, in order.

    Parameters
    ----------
    task
        Picklable; its result depends on its argument only, so that neither place nor resume changes a value.
    inputs
        Hash of what the task was made from. Rows in ``folder/name.parquet`` are reused when it agrees, and with it the
        task's code and the versions of the packages behind it.
    jobs
        Processes of this machine, or another place (`clada_neuro.parts`).
    """
    store = None if folder is None else Store.of(output_folder(folder), task.__module__, inputs, codec=TABLE)
    rows = {} if store is None else _rows(store.read(name))
    missing = [r for r in range(count) if r not in rows]
    saved, place = time.monotonic(), place_of(jobs)
    with ProgressBar(total=count, initial=count - len(missing), desc=name, disable=not progress) as bar:
        for done, (r, row) in enumerate(place.each(task, {r: r for r in missing}), start=1):
            rows[r] = row
            bar.update()
            if progress and done == 1:
                _announce(name, time.monotonic() - saved, len(missing) - 1, place.count)
            if store is not None and time.monotonic() - saved > _SAVE_EVERY_S:
                store.write(name, _table(rows))
                saved = time.monotonic()
    if store is not None and missing:
        store.write(name, _table(rows))
    return pd.DataFrame([rows[r] for r in range(count)])


def _announce(name: str, each: float, left: int, at_once: int) -> None:
    """Say how long the rest will take when that is minutes; the first replicate also prepares the model."""
    expected = each * left / min(at_once, max(left, 1))
    if expected > _WORTH_SAYING_S:
        shared = f" in {at_once} processes" if at_once > 1 else ""
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
