"""The epochs' own analyses in one call, and their files: what a report draws and a reader checks.

In ``<folder>/erp``: ``waveforms``, ``topographies`` (by tercile of each predictor), ``rerp_waveforms``,
``rerp_topographies`` (µV per SD), ``rerp_clusters``, ``by_item``, ``rejections``, ``lost`` as parquet;
``terciles-<predictor>-ave.fif`` and ``rerp-ave.fif``, grand averages for MNE; ``erp.json``, what was done.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mne
import pandas as pd

from clada_neuro.artifacts import output_folder, write_atomic, write_json, write_table
from clada_neuro.erp.by_item import by_item
from clada_neuro.erp.channels import find_roi
from clada_neuro.erp.components import Component, get_components
from clada_neuro.erp.evoked import Groups, grand_averages, topographies, waveforms
from clada_neuro.erp.predictors import PredictedEpochs, tercile_averages, with_predictors
from clada_neuro.erp.quiet import quiet
from clada_neuro.erp.rerp import Rerp, rerp
from clada_neuro.erp.sources import Source, read_epochs

PREDICTORS = ("surprisal_bits", "entropy_bits", "sparsity_energy99", "adjustment_prev")


@quiet
def analyze_epochs(
    source: Source,
    words: pd.DataFrame,
    folder: str | Path,
    *,
    predictors: Sequence[str] = PREDICTORS,
    components: Iterable[str | Component] = ("n400", "p600"),
    n_permutations: int = 1000,
    seed: int = 0,
    inputs: str = "",
) -> Path:
    """Average by tercile, regress over time and electrodes, check by item, and write ``<folder>/erp``.

    Parameters
    ----------
    source
        Epochs, mapping, file or folder (see `sources.read_epochs`).
    words
        Words table of a trace.
    folder
        Output folder of the run.
    predictors, components
        Columns of ``words``; presets or `Component` objects.
    n_permutations, seed
        Of the cluster permutation.
    inputs
        Hash of what the run was computed from, for provenance.

    Returns
    -------
    Path
        The folder with the files.
    """
    place = output_folder(Path(folder) / "erp")
    chosen = get_components(components)
    recordings = read_epochs(source)
    data = with_predictors(recordings.epochs, words, predictors)
    terciles = {name: tercile_averages(data, name) for name in predictors}
    result = rerp(data, n_permutations=n_permutations, seed=seed)
    tables = {
        "waveforms": _by_predictor(terciles, chosen, waveforms),
        "topographies": _by_predictor(terciles, chosen, topographies),
        "rerp_waveforms": _by_component(result.betas, chosen, waveforms),
        "rerp_topographies": _by_component(result.betas, chosen, topographies),
        "rerp_clusters": result.clusters,
        "by_item": by_item(data, chosen, result),
        "rejections": recordings.dropped,
        "lost": data.lost,
    }
    for name, table in tables.items():
        write_table(table, place / f"{name}.parquet", {"inputs": inputs})
    for name, groups in terciles.items():
        _write_averages(place / f"terciles-{name}-ave.fif", groups)
    _write_averages(place / "rerp-ave.fif", result.betas)
    write_json(place / "erp.json", _facts(data, result, chosen, n_permutations, seed))
    return place


def _by_component(
    groups: Groups, components: Sequence[Component], measure: Callable[[Groups, Component], pd.DataFrame]
) -> pd.DataFrame:
    frames = [measure(groups, component).assign(component=component.name) for component in components]
    return pd.concat(frames, ignore_index=True)


def _by_predictor(
    terciles: Mapping[str, Groups],
    components: Sequence[Component],
    measure: Callable[[Groups, Component], pd.DataFrame],
) -> pd.DataFrame:
    frames = [
        _by_component(groups, components, measure).assign(predictor=name) for name, groups in terciles.items()
    ]
    return pd.concat(frames, ignore_index=True)


def _write_averages(path: Path, groups: Groups) -> None:
    averages = list(grand_averages(groups).values())

    def write(part: Path) -> None:
        named = part.with_name(part.name + "-ave.fif")  # MNE insists on its own ending
        mne.write_evokeds(named, averages, overwrite=True, verbose="error")
        named.replace(part)

    write_atomic(path, write)


def _facts(
    data: PredictedEpochs, result: Rerp, components: Sequence[Component], n_permutations: int, seed: int
) -> dict[str, Any]:
    metadata = [epochs.metadata for epochs in data.epochs.values()]
    info = next(iter(data.epochs.values())).info
    return {
        "simulated": data.simulated,
        "n_subjects": len(metadata),
        "n_epochs": sum(map(len, metadata)),
        "n_stimuli": len(data.stimuli()),
        "predictors": data.scales.to_dict("index"),
        "components": [
            {**asdict(component), "channels": find_roi(info, component).channels} for component in components
        ],
        "baseline": "each electrode's mean before onset: a covariate of the regressions, subtracted from the averages",
        "n_permutations": n_permutations,
        "seed": seed,
        "notes": result.notes,
    }
