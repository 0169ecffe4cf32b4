"""What results of EEG are made from: files and words, for the key under which a stage's account is kept."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro.artifacts import content_hash
from clada_neuro.cache import Codec, Store, T
from clada_neuro.erp.sources import Source, files_of, parts_of
from clada_neuro.measures.tokens import TOKENS
from clada_neuro.measures.words import WORDS

_MEASURES = {measure.name for measure in (*TOKENS, *WORDS)}


def account_of(place: Path, source: Source, module: str, *inputs: Any, codec: Codec[T]) -> Store[T]:
    """Return where a module's account of epochs is kept; its key is empty for epochs in memory, whose content is not known."""
    if not isinstance(source, str | Path):
        return Store(place, "", codec)
    files = [part for first in files_of(source) for part in parts_of(first)]
    return Store.of(place, module, *files, *inputs, codec=codec)


def hash_of_words(words: pd.DataFrame, names: Collection[str]) -> str:
    """Return a hash of a words table as far as it is used: all but the measures that are not among ``names``."""
    return content_hash(
        words.drop(columns=[name for name in words if name in _MEASURES and name not in names])
    )
