"""Every table the package writes: columns, types, units, keys, and how tokens become words.

`word_rule` says how a word's value follows from its tokens: ``sum``, ``mean``, ``first``, or ``word`` when the
value belongs to the word itself. Columns of the caller's own are always kept beside these.
"""

from dataclasses import dataclass

import pandas as pd
from pandas.api import types

from clada_neuro.errors import DataError, did_you_mean


@dataclass(frozen=True)
class Column:
    """One column: `dtype` is ``str``, ``int``, ``float`` or ``bool``; `unit` is empty for plain labels."""

    name: str
    dtype: str
    unit: str
    meaning: str
    word_rule: str = ""
    required: bool = True


@dataclass(frozen=True)
class Table:
    """A table's name, the columns that identify a row, and its columns in order."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    def names(self) -> list[str]:
        """Return the column names in order."""
        return [column.name for column in self.columns]


def _c(name: str, dtype: str, unit: str, meaning: str, word_rule: str = "", required: bool = True) -> Column:
    return Column(name, dtype, unit, meaning, word_rule, required)


_ID = _c("stimulus_id", "str", "", "identifies one presented text")

ACTIVITY = (
    _c(
        "sparsity_energy99",
        "float",
        "share",
        "1 - share of neurons in the smallest set holding 99 % of the sum of e^2",
        "mean",
    ),
    _c(
        "neuron_sparsity",
        "float",
        "share",
        "share of neurons below their calibrated cut-off; under a policy, of those it left out",
        "mean",
        False,
    ),
    _c("ffn_sparsity", "float", "share", "share of feed-forward weight bytes not read", "mean", False),
    _c("hoyer", "float", "0-1", "Hoyer sparsity of e", "mean", False),
    _c("participation_ratio", "float", "share", "(sum e^2)^2 / (n sum e^4)", "mean", False),
    _c("overlap_prev", "float", "Jaccard", "active set shared with the token before", "mean", False),
    _c("overlap_prefix", "float", "Jaccard", "active set shared with the prefix", "mean", False),
    _c("adjustment_prev", "float", "1 - cosine", "change of e from the token before", "mean"),
    _c("adjustment_prefix", "float", "1 - cosine", "change of e from the prefix mean", "mean", False),
)

STIMULI = Table(
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

TOKENS = Table(
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
        _c(
            "context_tokens",
            "int",
            "tokens",
            "tokens the model saw before this one, start token included",
            "first",
            False,
        ),
        _c("surprisal_bits", "float", "bits", "-log2 p(token | context); missing without any context", "sum"),
        _c(
            "surprisal_corrected_bits",
            "float",
            "bits",
            "surprisal with the whitespace correction; a word's with attached punctuation",
            "sum",
        ),
        _c(
            "entropy_bits",
            "float",
            "bits",
            "entropy of the next-token distribution before the token",
            "first",
        ),
        _c(
            "entropy_boundary_bits",
            "float",
            "bits",
            "that entropy over tokens that can begin a word",
            "first",
            False,
        ),
        _c("renyi_half_bits", "float", "bits", "Rényi entropy of order 1/2 before the token", "first", False),
        _c("rank", "int", "rank", "tokens with a higher probability, plus 1", "first", False),
        _c("entropy_next_bits", "float", "bits", "entropy after the token", "last", False),
        _c("load", "float", "z", "cognitive load signal the policy used", "mean", False),
        *ACTIVITY,
        _c("reanalysis_event", "bool", "", "load passed its rolling percentile", "any", False),
        _c(
            "reanalysis_action",
            "bool",
            "",
            "the token was computed densely because of its load",
            "any",
            False,
        ),
        _c(
            "kl_dense_bits",
            "float",
            "bits",
            "KL divergence D(dense || policy) of the predictions of the token",
            "sum",
            False,
        ),
    ),
)

LAYERS = Table(
    "layers",
    ("stimulus_id", "token_index", "layer"),
    (
        _ID,
        _c("token_index", "int", "tokens", "position in the text, from 0"),
        _c("layer", "int", "", "feed-forward layer, from 0"),
        *ACTIVITY,
    ),
)

TOP_K = Table(
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

WORDS = Table(
    "words",
    ("stimulus_id", "word_index"),
    (
        _ID,
        _c("word_index", "int", "words", "position in the sentence, from 0"),
        _c("word", "str", "", "the word as the caller wrote it"),
        _c("stimulus", "str", "", "the unique text up to and including the word", required=False),
        _c("n_tokens", "int", "tokens", "tokens of the word, attached punctuation left out"),
        *(column for column in TOKENS.columns if column.word_rule),
        _c(
            "surprisal_with_punct_bits",
            "float",
            "bits",
            "surprisal with attached punctuation; sums to the tokens' sum",
        ),
        _c("length", "int", "characters", "characters, attached punctuation left out"),
        _c("zipf_frequency", "float", "Zipf", "log10 occurrences per billion words (wordfreq)"),
        _c("position", "int", "words", "position in the sentence, from 1"),
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

TRIALS = Table(
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

TABLES = {table.name: table for table in (STIMULI, TOKENS, LAYERS, TOP_K, WORDS, TRIALS)}

_DTYPE_CHECKS = {
    "str": lambda values: types.is_string_dtype(values) or types.is_object_dtype(values),
    "int": types.is_integer_dtype,
    "float": types.is_numeric_dtype,
    "bool": types.is_bool_dtype,
}


def validate(frame: pd.DataFrame, table: str | Table) -> pd.DataFrame:
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
