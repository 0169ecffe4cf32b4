"""A measure by layer as columns of a words table, one a layer, for regressions over epochs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from clada_neuro.errors import DataError, did_you_mean

_WORD = ["stimulus_id", "word_index"]


@dataclass(frozen=True, eq=False)
class LayerColumns:
    """Words with a column a layer.

    Attributes
    ----------
    measure
        Of which the columns are.
    words
        The words table with these columns.
    names
        Each layer's column.
    notes
        Which layers are left out, and why.
    """

    measure: str
    words: pd.DataFrame
    names: dict[int, str]
    notes: list[str]

    def of(self, kept: Collection[str], notes: Sequence[str]) -> "LayerColumns":
        """Return the layers of some columns; the notes say why the others are left out.

        Raises
        ------
        DataError
            With fewer than two layers.
        """
        names = {layer: name for layer, name in self.names.items() if name in kept}
        if len(names) < 2:
            raise DataError(
                f"{self.measure} varies over the words of the epochs in {len(names)} of {len(self.names)} layers, a map over layers "
                f"needs two or more ({'; '.join(notes)}); take another measure, or epochs of more words"
            )
        return replace(self, names=names, notes=[*self.notes, *notes])


def layer_columns(words: pd.DataFrame, word_layers: pd.DataFrame, measure: str) -> LayerColumns:
    """Give each word a measure of each layer.

    Parameters
    ----------
    words
        Words table of a trace.
    word_layers
        The same trace's words by layer (`clada_neuro.tables.WORD_LAYERS`).
    measure
        A column of it; a layer that has no value of any word (as the lowest of what compares it with the one below) is left
        out.

    Raises
    ------
    DataError
        For an unknown measure, or with fewer than two layers.
    """
    known = [name for name in word_layers if name not in (*_WORD, "layer")]
    if measure not in known:
        raise DataError(
            f"no measure by layer '{measure}'{did_you_mean(measure, known)}; this trace has {', '.join(known)}"
        )
    wide = word_layers.pivot(index=_WORD, columns="layer", values=measure).astype(float).sort_index(axis=1)
    empty = [int(layer) for layer in wide.columns[wide.isna().all()]]
    wide = wide.drop(columns=empty)
    if wide.shape[1] < 2:
        raise DataError(
            f"{measure} has values of {wide.shape[1]} layer of this trace, a map over layers needs two or more; trace again "
            "with --layers all"
        )
    names = {int(layer): f"{measure}_layer{layer}" for layer in wide.columns}
    wide.columns = pd.Index(list(names.values()))
    notes = [f"{measure} has no value in layer {layer}, which is left out" for layer in empty]
    return LayerColumns(measure, words.join(wide, on=_WORD), names, notes)
