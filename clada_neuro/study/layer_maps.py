"""When each layer of a run's model speaks to epochs, and where on the scalp: `depth` in time."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clada_neuro.errors import DataError
from clada_neuro.lineage import read_words
from clada_neuro.study.depth import read_layers
from clada_neuro.study.how import Progress
from clada_neuro.study.recordings import counted_from

FOLDER = "layer_maps"
MEASURES = ("lens_surprisal_bits",)


def layer_maps(
    run: str | Path,
    epochs: str | Path,
    *,
    measures: Sequence[str] | None = None,
    controls: Sequence[str] = (),
    roi: Sequence[str] | None = None,
    index_base: int | None = None,
    progress: Progress = lambda line: None,
    **choices: Any,
) -> Path:
    """Map each layer's measure over electrodes and moments of epochs, and measure when it speaks.

    Parameters
    ----------
    run : path
        A folder that `clada_neuro.run` or `clada_neuro.trace` wrote with ``layers``.
    epochs : path
        MNE epochs of the same words: a FIF file, or a folder of them.
    measures : sequence of str, optional
        Columns of ``word_layers.parquet``; surprisal read out at each layer by default.
    controls : sequence of str
        Measures of words that stand in every regression.
    roi : sequence of str, optional
        Electrodes whose mean is mapped over layers and time; the N400's by default.
    index_base : int, optional
        What the ``word_index`` of the epochs' metadata counts from; 0 by default.
    progress : callable
        Receives one line a step.
    choices
        Of `clada_neuro.erp.layers.stage.LayerMapsStage`: ``baseline``, ``tmin``, ``tmax``, ``n_permutations``, ``n_bootstrap``,
        ``seed``.

    Returns
    -------
    Path
        ``layer_maps/`` in the run's folder, with tables and ``layer_maps.json``; the run's report shows them.

    Raises
    ------
    CladaNeuroError
        If the folder is no run with layers, or epochs, words and measures do not suit each other.
    """
    folder = Path(run)
    layers, _ = read_layers(folder, "manifest.json", "words.parquet")
    if not Path(epochs).exists():
        raise DataError(f"epochs '{epochs}' do not exist")
    from clada_neuro.erp.components import N400  # loads MNE
    from clada_neuro.erp.layers.stage import LayerMapsStage

    words = read_words(folder / "words.parquet")
    component = replace(N400, name="mean", roi=tuple(roi), min_channels=None) if roi else N400
    return LayerMapsStage(
        Path(epochs), counted_from(words, index_base), counted_from(layers, index_base), tuple(measures or MEASURES), tuple(controls), component,
        progress=lambda line: progress(f"      {line}"), **choices,
    ).into(folder / FOLDER)  # fmt: skip
