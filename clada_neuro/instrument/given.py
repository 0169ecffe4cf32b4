"""The caller's own columns beside the words of a trace."""

from typing import Any

import pandas as pd

from clada_neuro.stimuli.design import holds_lists

_LISTS = ["words", "regions"]


def with_given(words: pd.DataFrame, stimuli: pd.DataFrame) -> pd.DataFrame:
    """Return the words with every column of their stimuli; one that is named as the trace's own is ``<name>_stimuli``.

    Columns that hold one value a word, as of a file with a row a word, give each word its own.
    """
    given = stimuli.drop(columns=[name for name in _LISTS if name in stimuli and holds_lists(stimuli[name])])
    given = given.rename(
        columns={name: f"{name}_stimuli" for name in given if name in words and name != "stimulus_id"}
    )
    words = words.merge(given, on="stimulus_id", how="left")
    lengths = words.groupby("stimulus_id", sort=False)["word_index"].transform("size")
    for name in [name for name in given if holds_lists(given[name])]:
        cells = zip(words[name], words["word_index"], lengths, strict=True)
        own = [_at(*cell) for cell in cells]
        words[name] = pd.Series(own, index=words.index, dtype=object).infer_objects()
    return words


def _at(cell: Any, place: int, length: int) -> Any:
    several = hasattr(cell, "__len__") and not isinstance(cell, str) and len(cell) == length
    return cell[place] if several else cell
