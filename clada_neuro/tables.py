"""Every table the package writes: columns, types, units and keys.

Columns of measures follow from their declarations in `clada_neuro.measures`. Columns of the caller's own are always kept
beside these.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd
from pandas.api import types

from clada_neuro.errors import DataError, did_you_mean
from clada_neuro.measures import activity, layers, tokens, words
from clada_neuro.measures.measure import Measure


@dataclass(frozen=True)
class Column:
    """One column: `dtype` is ``str``, ``int``, ``float`` or ``bool``; `unit` is empty for plain labels."""

    name: str
    dtype: str
    unit: str
    meaning: str
    required: bool = True


@dataclass(frozen=True)
class Schema:
    """A table's name, the columns that identify a row, and its columns in order."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    def names(self) -> list[str]:
        """Return the column names in order."""
        return [column.name for column in self.columns]


def _c(name: str, dtype: str, unit: str, meaning: str, required: bool = True) -> Column:
    return Column(name, dtype, unit, meaning, required)


def _columns(measures: Iterable[Measure]) -> Iterator[Column]:
    for one in measures:
        yield Column(one.name, one.dtype, one.unit, one.meaning, one.required)


_ID = _c("stimulus_id", "str", "", "identifies one presented text")

STIMULI = Schema(
    "stimuli",
    ("stimulus_id",),
    (
        _ID,
        _c("item", "str", "", "sentence frame"),
        _c("condition", "str", "", "design cell"),
        _c("sentence", "str", "", "the text whose words are measured"),
        _c(
            "context", "str", "", "text that precedes the sentence, measured but not reported", required=False
        ),
        _c("critical_word", "str", "", "target word as written in the sentence", required=False),
        _c("critical_index", "int", "words", "position of the critical word, from 0", required=False),
    ),
)

TOKENS = Schema(
    "tokens",
    ("stimulus_id", "token_index"),
    (
        _ID,
        _c("token_index", "int", "tokens", "position in the text, from 0, start token excluded"),
        _c("token", "str", "", "the token's own text"),
        _c("token_id", "int", "", "the token's number in the vocabulary"),
        _c("char_start", "int", "characters", "first character in context + sentence"),
        _c("char_end", "int", "characters", "one past the last character"),
        _c("word_index", "int", "words", "word of the sentence that holds the token; missing in the context"),
        *_columns(tokens.TOKENS),
    ),
)

LAYERS = Schema(
    "layers",
    ("stimulus_id", "token_index", "layer"),
    (
        _ID,
        _c("token_index", "int", "tokens", "position in the text, from 0"),
        _c("layer", "int", "", "feed-forward layer, from 0"),
        *_columns(activity.ACTIVITY),
    ),
)

TOP_K = Schema(
    "top_k",
    ("stimulus_id", "token_index", "rank"),
    (
        _ID,
        _c("token_index", "int", "tokens", "position in the text, from 0, of the token that is predicted"),
        _c("rank", "int", "rank", "1 for the most probable token"),
        _c("token", "str", "", "the predicted token's own text"),
        _c("token_id", "int", "", "its number in the vocabulary"),
        _c("probability", "float", "0-1", "p(token | context) over the whole vocabulary"),
    ),
)

WORDS = Schema(
    "words",
    ("stimulus_id", "word_index"),
    (
        _ID,
        _c("word_index", "int", "words", "position in the sentence, from 0"),
        _c("word", "str", "", "the word as the caller wrote it"),
        _c("stimulus", "str", "", "the unique text up to and including the word", required=False),
        _c("n_tokens", "int", "tokens", "tokens of the word, attached punctuation left out"),
        *_columns(tokens.TOKENS),
        *_columns(words.WORDS),
        _c(
            "shares_token",
            "bool",
            "",
            "a token crosses the word's border; it counts for the word it begins in",
            required=False,
        ),
        _c("is_critical", "bool", "", "whether this is the critical word"),
        _c("region", "str", "", "labelled span", required=False),
    ),
)

WORD_LAYERS = Schema(
    "word_layers",
    ("stimulus_id", "word_index", "layer"),
    (
        _ID,
        _c("word_index", "int", "words", "position in the sentence, from 0"),
        _c("layer", "int", "", "layer of the model, from 0"),
        *_columns(layers.BY_LAYER),
    ),
)

TRIALS = Schema(
    "trials",
    ("subject", "stimulus_id", "word_index"),
    (
        _c("subject", "str", "", "person"),
        _c("item", "str", "", "sentence frame"),
        _c("stimulus", "str", "", "the unique text up to and including the word"),
        _c("condition", "str", "", "design cell", required=False),
        _c("n400_uv", "float", "microvolt", "mean amplitude in the N400 window and region", required=False),
        _c("p600_uv", "float", "microvolt", "mean amplitude in the P600 window and region", required=False),
    ),
)

TABLES = {table.name: table for table in (STIMULI, TOKENS, LAYERS, TOP_K, WORDS, WORD_LAYERS, TRIALS)}

_DTYPE_CHECKS = {
    "str": lambda values: types.is_string_dtype(values) or types.is_object_dtype(values),
    "int": types.is_integer_dtype,
    "float": types.is_numeric_dtype,
    "bool": types.is_bool_dtype,
}


def validate(frame: pd.DataFrame, table: str | Schema) -> pd.DataFrame:
    """Check that ``frame`` has a table's columns, types and unique key, and return it unchanged.

    Raises
    ------
    DataError
        Naming the column or the first offending row.
    """
    spec = TABLES[table] if isinstance(table, str) else table
    for column in spec.columns:
        if column.name not in frame:
            if column.required:
                hint = did_you_mean(column.name, list(map(str, frame.columns)))
                raise DataError(f"table '{spec.name}' lacks column '{column.name}'{hint}: {column.meaning}")
        elif not _DTYPE_CHECKS[column.dtype](frame[column.name]):
            found = frame[column.name].dtype
            raise DataError(
                f"table '{spec.name}', column '{column.name}': {found} found, {column.dtype} expected"
            )
    key = [name for name in spec.key if name in frame]
    twice = frame.duplicated(key) if key else pd.Series(False, index=frame.index)
    if twice.any():
        row = frame.loc[twice].iloc[0]
        values = ", ".join(f"{name}={row[name]}" for name in key)
        raise DataError(f"table '{spec.name}' has {int(twice.sum())} repeated rows; the first is {values}")
    return frame
