"""Where the words stand that rows of another table name: keys in the words' spelling, and the place of each.

Trials and epochs are both matched by these functions. Which labels are compared, and how a loss is told, is their own.
"""

from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clada_neuro.stimuli.keys import as_key, respelled, spellings

NOWHERE = -1


def only_text(rows: pd.DataFrame, words: pd.DataFrame, labels: Collection[str]) -> str:
    """Return the id of the text that rows mean without naming it, as words of a story do; empty where there is none.

    Parameters
    ----------
    rows
        With ``word_index``, or they name no word.
    words
        Words of a trace: of a single text.
    labels
        Columns that would name a text.
    """
    named = set(labels) & set(map(str, rows))
    if named or "word_index" not in rows or words["stimulus_id"].nunique() != 1:
        return ""
    return str(words["stimulus_id"].iloc[0])


def in_their_spelling(name: str, given: pd.Series, known: pd.Series, what: str) -> tuple[pd.Series, str]:
    """Return keys as the words spell them, and which were read as which; empty where none was."""
    meant = respelled(given, set(known))
    return given.replace(meant), spellings(name, given, meant, what) if meant else ""


def places(wanted: pd.DataFrame, offered: pd.DataFrame) -> NDArray[np.int64]:
    """Return for each row of keys the index, a whole number, of the same keys among those offered; `NOWHERE` without."""
    known = pd.Series(offered.index, index=pd.MultiIndex.from_frame(offered))
    return known.reindex(pd.MultiIndex.from_frame(wanted)).fillna(NOWHERE).astype("int64").to_numpy()


def one_lower(wanted: pd.DataFrame) -> pd.DataFrame:
    """Return keys whose ``word_index`` counts from 0 where the given one counts from 1."""
    return wanted.assign(word_index=as_key(pd.to_numeric(wanted["word_index"], errors="coerce") - 1))
