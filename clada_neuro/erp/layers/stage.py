"""Layer by time by electrode, and the files of it.

In the folder: ``planes.parquet`` (a row a measure, layer and moment: b_uv of the mean over some electrodes, se, t, cluster, p of
threshold-free cluster enhancement over subjects, over items), ``electrodes.parquet`` (the same of every electrode, without the last
two), ``clusters.parquet``, ``latencies.parquet``, ``correlations.parquet``, ``scalp.parquet`` (b in six windows, with
electrodes' places seen from above),
``lost.parquet`` (epochs left out), and ``layer_maps.json``, what was done and found.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mne
import pandas as pd

from clada_neuro.artifacts import write_table
from clada_neuro.cache import INPUTS, Store
from clada_neuro.erp.channels import find_roi
from clada_neuro.erp.clusters import CLUSTER_FORMING_P
from clada_neuro.erp.components import N400, Component
from clada_neuro.erp.layers.columns import LayerColumns, layer_columns
from clada_neuro.erp.layers.latency import latencies
from clada_neuro.erp.layers.mapped import Mapped
from clada_neuro.erp.layers.planes import planes
from clada_neuro.erp.layers.tested import over_electrodes, over_roi
from clada_neuro.erp.made_from import account_of, hash_of_words
from clada_neuro.erp.measurement import Baseline
from clada_neuro.erp.predictors import varying, with_predictors
from clada_neuro.erp.quiet import quiet
from clada_neuro.erp.sources import Source, baseline_subtracted, read_epochs, with_baseline_subtracted
from clada_neuro.errors import DataError
from clada_neuro.lineage import trace_of
from clada_neuro.records.layer_maps import LayerMapsRecord
from clada_neuro.stage import Stage

_LAST = "layer_maps"  # the file that is written last: with it the tables are complete
_MS = 1e3


def told(found: LayerMapsRecord) -> list[str]:
    """Return what a reader of the terminal must know of each measure: epochs, clusters, latencies, notes."""
    return [
        line for one in found.measures for line in [*one.in_words(), *(f"note: {note}" for note in one.notes)]
    ]


@dataclass(frozen=True)
class LayerMapsStage(Stage[Path]):
    """Map each layer's measure over electrodes and moments of epochs, and measure when it speaks.

    Attributes
    ----------
    source
        Epochs, mapping, file or folder (see `clada_neuro.erp.sources.read_epochs`).
    words, word_layers
        Tables of one trace: its words, and its words by layer.
    measures
        Columns of ``word_layers``, each mapped alone.
    controls
        Columns of ``words`` in every regression, z-scored.
    roi
        Component whose electrodes are averaged; its window is not used.
    baseline
        ``covariate``, ``subtract`` or ``none``; of epochs whose baseline was subtracted before, which is seen in them, ``none``.
    baseline_window
        Seconds; None is the start of the epoch.
    tmin, tmax
        Seconds of the maps; None is the end of the epochs.
    n_permutations, n_bootstrap, seed
        Sign flips, samples of subjects, and what makes both repeatable.
    """

    name = "depth"
    files = (
        "layer_maps.json",
        "planes.parquet",
        "electrodes.parquet",
        "clusters.parquet",
        "latencies.parquet",
        "correlations.parquet",
        "scalp.parquet",
        "lost.parquet",
    )

    source: Source
    words: pd.DataFrame
    word_layers: pd.DataFrame
    measures: tuple[str, ...] = ("lens_surprisal_bits",)
    controls: tuple[str, ...] = ()
    roi: Component = N400
    baseline: Baseline = "covariate"
    baseline_window: tuple[float | None, float] = (None, 0.0)
    tmin: float = 0.0
    tmax: float | None = None
    n_permutations: int = 1000
    n_bootstrap: int = 1000
    seed: int = 0
    progress: Callable[[str], None] = lambda line: None

    @quiet
    def make(self, folder: Path) -> Path:
        """Map what is not there yet for these inputs, write it, and say what was found."""
        words_used = hash_of_words(self.words, self.controls)
        asked = (
            self.measures,
            self.controls,
            self.roi,
            self.baseline,
            self.baseline_window,
            self.tmin,
            self.tmax,
        )
        drawn = (self.n_permutations, self.n_bootstrap, self.seed)
        store = account_of(
            folder,
            self.source,
            __name__,
            words_used,
            self.word_layers,
            *asked,
            *drawn,
            codec=LayerMapsRecord.codec(),
        )
        if not store.whole(_LAST):
            self._write(folder, store)
        for line in told(LayerMapsRecord.read(folder / f"{_LAST}.json")):
            self.progress(line)
        return folder

    def _write(self, folder: Path, store: Store[dict[str, Any]]) -> None:
        recordings = read_epochs(self.source)
        done: Baseline = "none" if baseline_subtracted(recordings.epochs) else self.baseline
        epochs: Mapping[str, mne.BaseEpochs] = recordings.epochs
        if done == "subtract":
            epochs = with_baseline_subtracted(epochs, self.baseline_window)
        layered = [self._columns(measure, epochs) for measure in self.measures]
        found = []
        for columns in layered:
            self.progress(f"{columns.measure}: every layer at every electrode and moment")
            found.append(self._mapped(columns, epochs, done == "covariate"))
        self.clear(folder)
        tables = {
            name: pd.concat([one.tables[name] for one in found], ignore_index=True)
            for name in found[0].tables
        }
        for name, table in tables.items():
            write_table(table, folder / f"{name}.parquet", {INPUTS: store.key})
        last = found[0]
        facts = {
            "controls": list(self.controls),
            "channels": list(last.channels),
            "baseline": done,
            "from_ms": _MS * last.planes.times[0],
            "to_ms": _MS * last.planes.times[-1],
            "cluster_forming_p": CLUSTER_FORMING_P,
            "n_permutations": self.n_permutations,
            "n_bootstrap": self.n_bootstrap,
            "seed": self.seed,
            "simulated": last.data.simulated,
            "measures": [one.facts() for one in found],
            "trace": trace_of(self.words),
        }
        store.write(_LAST, facts)

    def _columns(self, measure: str, epochs: Mapping[str, mne.BaseEpochs]) -> LayerColumns:
        """Return a measure's layers that vary over the words of the epochs; all measures are looked at before one is mapped."""
        columns = layer_columns(self.words, self.word_layers, measure)
        kept, notes = varying(epochs, columns.words, list(columns.names.values()), left_out_of="the maps")
        return columns.of(kept, notes)

    def _mapped(self, columns: LayerColumns, epochs: Mapping[str, mne.BaseEpochs], covariate: bool) -> Mapped:
        names = columns.names
        data = with_predictors(epochs, columns.words, [*names.values(), *self.controls])
        found = planes(
            data, names, self.controls, covariate=covariate, baseline_window=self.baseline_window, tmin=self.tmin,
            tmax=self.tmax,
        )  # fmt: skip
        roi = find_roi(found.info, self.roi)
        draws = {"n_permutations": self.n_permutations, "seed": self.seed}
        plane = over_roi(found, roi.channels, **draws)
        notes = [*columns.notes, *data.layout.notes, *roi.notes]
        scalp = None
        try:
            scalp = over_electrodes(found, **draws)
        except DataError as error:
            notes.append(f"no map of every electrode: {error}")
        at = [found.info["ch_names"].index(name) for name in roi.channels]
        when = latencies(
            found.layers, found.times, found.betas[:, :, at].mean(axis=2), found.influence(at), plane.has_effect,
            n_bootstrap=self.n_bootstrap, seed=self.seed,
        )  # fmt: skip
        return Mapped(columns.measure, data, found, roi.channels, plane, scalp, when, notes)
