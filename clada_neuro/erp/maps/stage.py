"""Mixed-model maps of a run's epochs, and their files.

In the folder: ``maps.parquet`` (one row per term, electrode and moment: b_uv, se, ci_low, ci_high, df, t, p, p_corrected, cluster),
``scalp.parquet`` (means in six windows), ``clusters.parquet``, ``variances.parquet``, ``channels.parquet`` (places seen from above),
``lost.parquet`` (epochs left out) and ``maps.json``, what was done. Fitted electrodes stand in ``electrodes/`` until all are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import pandas as pd

from clada_neuro.artifacts import output_folder, plain, write_table
from clada_neuro.cache import INPUTS
from clada_neuro.erp.made_from import account_of, hash_of_words
from clada_neuro.erp.maps.channel import AMPLITUDE
from clada_neuro.erp.maps.inference import CLUSTER_FORMING_P
from clada_neuro.erp.maps.maps import DRAWS, MixedMaps, mixed_maps
from clada_neuro.erp.measurement import Baseline
from clada_neuro.erp.predictors import PredictedEpochs, with_predictors
from clada_neuro.erp.quiet import quiet
from clada_neuro.erp.sources import Source, baseline_subtracted, read_epochs, with_baseline_subtracted
from clada_neuro.errors import DataError
from clada_neuro.lineage import trace_of
from clada_neuro.parts import Jobs
from clada_neuro.records.maps import MapsRecord
from clada_neuro.stage import Stage
from clada_neuro.stats.formula import parse

_ALPHA = 0.05
FORMULA = "surprisal_bits + (1 + surprisal_bits | subject) + (1 | item) + (1 | stimulus)"

_LAST = "maps"  # the file that is written last: with it the tables are complete


@quiet
def map_epochs(
    source: Source,
    words: pd.DataFrame,
    folder: str | Path,
    *,
    formula: str = FORMULA,
    baseline: Baseline = "covariate",
    baseline_window: tuple[float | None, float] = (None, 0.0),
    tmin: float = 0.0,
    n_draws: int = DRAWS,
    seed: int = 0,
    jobs: Jobs = 1,
    progress: Callable[[str], None] = lambda line: None,
) -> Path:
    """Fit the formula at every electrode and moment and write the maps; what stands in the folder is not computed again.

    Parameters
    ----------
    source
        Epochs, mapping, file or folder (see `sources.read_epochs`).
    words
        Words table of a trace.
    folder
        Where the files go.
    formula, baseline_window, tmin, n_draws, seed, jobs, progress
        As in `maps.mixed_maps`.
    baseline
        ``covariate``, ``subtract`` or ``none``; of epochs whose baseline was subtracted before, which is seen in them, ``none``.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    CladaNeuroError
        For epochs, words and formulas that do not suit each other; fitted electrodes stay.
    """
    output = output_folder(folder)
    names = predictors_of(formula, words)
    recordings = read_epochs(source)
    done: Baseline = "none" if baseline_subtracted(recordings.epochs) else baseline
    made_from = (hash_of_words(words, names), formula, done, baseline_window, tmin, n_draws, seed)
    store = account_of(output, source, __name__, *made_from, codec=MapsRecord.codec())
    if store.whole(_LAST):
        progress("nothing has changed since the maps were made")
        return output
    epochs = (
        with_baseline_subtracted(recordings.epochs, baseline_window)
        if done == "subtract"
        else recordings.epochs
    )
    data = with_predictors(epochs, words, names)
    kept = output / "electrodes"
    found = mixed_maps(
        data, formula, baseline=done == "covariate", baseline_window=baseline_window, tmin=tmin, n_draws=n_draws, seed=seed,
        jobs=jobs, folder=kept, progress=progress,
    )  # fmt: skip
    places = pd.DataFrame(found.places, columns=["x", "y"])
    places.insert(0, "channel", found.channels)
    tables = {
        "maps": found.table,
        "clusters": found.clusters,
        "variances": found.variances,
        "scalp": found.scalp,
        "channels": places,
    }
    for name, table in (tables | {"lost": data.lost}).items():
        write_table(table, output / f"{name}.parquet", {INPUTS: store.key})
    facts = _facts(found, data) | {"baseline": done, "seed": seed, "trace": trace_of(words)}
    store.write(_LAST, facts)
    rmtree(kept, ignore_errors=True)
    for line in told(MapsRecord.of(plain(facts))):
        progress(line)
    return output


def told(found: MapsRecord) -> list[str]:
    """Return what a reader of the terminal must know: which epochs entered, what a term's clusters are, and the notes."""
    entered = f"{found.n_epochs:,} epochs of {found.n_subjects} subjects in the models"
    lost = f", {found.n_lost:,} without a word or a value left out (lost.parquet)" if found.n_lost else ""
    return [entered + lost, *found.findings(), *(f"note: {note}" for note in found.notes)]


def _facts(found: MixedMaps, data: PredictedEpochs) -> dict[str, Any]:
    strong = found.clusters[found.clusters["p"] < _ALPHA]
    clusters = [
        {"term": row.term, "sign": row.sign, "from_ms": 1e3 * row.tmin_s, "to_ms": 1e3 * row.tmax_s, "n_channels": row.n_channels,
         "p": row.p}
        for row in strong.itertuples()
    ]  # fmt: skip
    return {
        "formula": found.formula,
        "n_subjects": len(data.epochs),
        "n_epochs": found.n_epochs,
        "n_lost": len(data.lost),
        "n_stimuli": len(data.stimuli()),
        "n_channels": len(found.channels),
        "n_moments": len(found.times),
        "simulated": data.simulated,
        "fitted": "every variance at every electrode and moment, by REML",
        "null": f"{found.n_draws} draws of signs for the maps of every subject, item, stimulus and trial",
        "n_draws": found.n_draws,
        "cluster_forming_p": CLUSTER_FORMING_P,
        "singular": float(found.singular.mean()),
        "terms": found.terms,
        "clusters": clusters,
        "notes": found.notes,
    }


@dataclass(frozen=True)
class MapsStage(Stage[Path]):
    """Map mixed models over electrodes and moments, as `map_epochs` does."""

    name = "maps"
    files = (
        "maps.json",
        "maps.parquet",
        "clusters.parquet",
        "variances.parquet",
        "scalp.parquet",
        "channels.parquet",
        "lost.parquet",
    )
    parts = ("electrodes/*.npz",)

    source: Source
    words: pd.DataFrame
    formula: str = FORMULA
    baseline: Baseline = "covariate"
    baseline_window: tuple[float | None, float] = (None, 0.0)
    tmin: float = 0.0
    n_draws: int = DRAWS
    seed: int = 0
    jobs: Jobs = 1
    progress: Callable[[str], None] = lambda line: None

    def make(self, folder: Path) -> Path:
        """Fit the electrodes that are not there yet, and test them together."""
        return map_epochs(
            self.source, self.words, folder, formula=self.formula, baseline=self.baseline, baseline_window=self.baseline_window,
            tmin=self.tmin, n_draws=self.n_draws, seed=self.seed, jobs=self.jobs, progress=self.progress,
        )  # fmt: skip


def predictors_of(formula: str, words: pd.DataFrame) -> list[str]:
    """Return the columns of ``words`` that a right-hand side needs beside ``subject``, ``item`` and ``stimulus``.

    Raises
    ------
    DataError
        For a formula without any, and one without random terms.
    """
    if "~" in formula:
        raise DataError(
            f"'{formula}' has a left side; the voltage is explained, so write the right side alone"
        )
    parsed = parse(f"{AMPLITUDE} ~ {formula}")
    if not parsed.random:
        raise DataError(f"'{formula}' has no random term; add (1 | subject) + (1 | item) + (1 | stimulus)")
    labels = {AMPLITUDE, "subject", "item", "stimulus", "condition"}
    names = [name for name in parsed.variables() if name not in labels]
    if not names:
        raise DataError(f"'{formula}' names no measure of words; add one, as in {FORMULA}")
    return names
