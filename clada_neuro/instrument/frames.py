"""From measures by input position to the tables of tokens, layers and words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from transformers import PreTrainedTokenizerBase

from clada_neuro import tables
from clada_neuro.instrument.batching import Measures, Window
from clada_neuro.instrument.covariates import add_lags, zipf_frequency
from clada_neuro.instrument.given import with_given
from clada_neuro.instrument.texts import StimulusText
from clada_neuro.instrument.words import CONTEXT
from clada_neuro.measures.tokens import TOKENS
from clada_neuro.measures.words import WORDS
from clada_neuro.stimuli.design import holds_lists, same_text
from clada_neuro.stimuli.unit import stimulus_at

# A token's whole number or yes and no may be missing.
_NULLABLE = {"int": "Int64", "bool": "boolean"}


@dataclass(frozen=True)
class MeasuredText:
    """One text with its measures, by scored token.

    Attributes
    ----------
    text : StimulusText
    columns : dict of numpy.ndarray, each of shape (tokens,)
        Columns of the tokens table that come from predictions and alignment.
    activity : dict of numpy.ndarray, each of shape (tokens, layers)
    """

    text: StimulusText
    columns: dict[str, np.ndarray]
    activity: dict[str, np.ndarray]

    @classmethod
    def of(
        cls, text: StimulusText, windows: Sequence[tuple[Window, Measures]], spaced: np.ndarray
    ) -> "MeasuredText":
        """Put the windows of one text together; they come in order and score each token once.

        `spaced` says for each token of the vocabulary whether it begins with white space.
        """
        ends = [window.scored for window, _ in windows[1:]] + [len(text.ids)]
        parts = [_window(*pair, end) for pair, end in zip(windows, ends, strict=True)]
        columns, measured = (
            {name: np.concatenate([part[kind][name] for part in parts]) for name in parts[0][kind]}
            for kind in (0, 1)
        )
        columns["surprisal_corrected_bits"] = _corrected(text, columns, spaced)
        return cls(text, columns, measured)


def tokens_table(measured: Sequence[MeasuredText], tokenizer_tokens: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Return one row per token of the sentences; tokens of contexts are left out.

    Parameters
    ----------
    tokenizer_tokens : sequence of sequence of str
        The text of every token of every stimulus, context included.
    """
    blocks = []
    for one, names in zip(measured, tokenizer_tokens, strict=True):
        text, kept = one.text, slice(one.text.scored, None)
        index = text.tokens.word_index[kept]
        blocks.append(
            {
                "stimulus_id": np.repeat(np.array(text.stimulus_id, dtype=object), len(index)),
                "token_index": np.arange(text.scored, len(text.ids)),
                "token": np.array(names[kept], dtype=object),
                "token_id": np.array(text.ids[kept], dtype=int),
                "char_start": text.offsets[kept, 0],
                "char_end": text.offsets[kept, 1],
                "word_index": index if text.words else np.full(len(index), CONTEXT),
                **{name: values for name, values in one.columns.items() if not name.startswith("_")},
                **{name: _over_layers(values) for name, values in one.activity.items()},
            }
        )
    frame = _concatenated(blocks, tables.TOKENS)
    return frame.assign(word_index=frame["word_index"].where(frame["word_index"] != CONTEXT))


def _over_layers(values: np.ndarray) -> np.ndarray:
    """Average over the layers in which a measure is defined: a layer that a policy left out whole has none."""
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(defined, values, 0).sum(axis=1, dtype=float) / defined.sum(axis=1)


def layers_table(measured: Sequence[MeasuredText]) -> pd.DataFrame:
    """Return one row per token and layer."""
    blocks = []
    for one in measured:
        n_tokens, n_layers = next(iter(one.activity.values())).shape
        index = np.arange(one.text.scored, len(one.text.ids))
        blocks.append(
            {
                "stimulus_id": np.repeat(np.array(one.text.stimulus_id, dtype=object), n_tokens * n_layers),
                "token_index": np.repeat(index, n_layers),
                "layer": np.tile(np.arange(n_layers), n_tokens),
                **{name: values.reshape(-1) for name, values in one.activity.items()},
            }
        )
    return _concatenated(blocks, tables.LAYERS)


def top_k_table(
    measured: Sequence[MeasuredText], tokenizer: PreTrainedTokenizerBase, top_k: int
) -> pd.DataFrame:
    """Return the most probable tokens before each token, ``top_k`` rows a token; none without any context."""
    blocks = []
    for one in measured:
        ids, p = (
            np.stack([one.columns[f"_top_{what}_{rank}"] for rank in range(1, top_k + 1)], axis=1)
            for what in ("token", "probability")
        )
        known = np.isfinite(p).all(axis=1)
        index, ids = np.arange(one.text.scored, len(one.text.ids))[known], ids[known].astype(int)
        blocks.append(
            {
                "stimulus_id": np.repeat(np.array(one.text.stimulus_id, dtype=object), ids.size),
                "token_index": np.repeat(index, top_k),
                "rank": np.tile(np.arange(1, top_k + 1), len(index)),
                "token": np.array(tokenizer.convert_ids_to_tokens(ids.reshape(-1).tolist()), dtype=object),
                "token_id": ids.reshape(-1),
                "probability": p[known].reshape(-1),
            }
        )
    return _concatenated(blocks, tables.TOP_K)


def words_table(
    tokens: pd.DataFrame,
    texts: Sequence[StimulusText],
    stimuli: pd.DataFrame,
    language: str,
    similarity: Sequence[np.ndarray],
    both_sides: bool = False,
) -> pd.DataFrame:
    """Return one row per word of the sentences, with the caller's columns and the lags of every predictor.

    `similarity` is that of each text's words to their context, (words,); `both_sides` says that the model sees what follows a word, too: then the whole text makes its stimulus.
    """
    words = _own_columns(texts, stimuli, language, similarity, both_sides)
    roles = np.concatenate([np.empty((2, 0)), *map(_roles, texts)], axis=1).astype(bool)
    values = _aggregate(tokens.assign(_own=roles[0], _trailing=roles[1]))
    words = words.merge(values, on=["stimulus_id", "word_index"], how="left")
    words["n_tokens"] = words["n_tokens"].fillna(0).astype("int64")
    words = with_given(words, stimuli)
    order = [name for name in tables.WORDS.names() if name in words]
    words = words[order + [name for name in words if name not in order]]
    return add_lags(words, _predictors(words))


def _window(
    window: Window, measures: Measures, end: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the columns and the activity of the tokens that one window scores."""
    at = np.array([window.input_position(token) for token in range(window.scored, end)], dtype=int)
    before = np.where(at > 0, at - 1, 0)

    def ahead(name: str) -> np.ndarray:
        return np.where(at > 0, measures.predictions[name][before], np.nan)

    columns = {one.name: ahead(one.name) for one in TOKENS if one.name in measures.predictions}
    columns |= {name: values[at] for name, values in measures.signals.items()}
    columns["context_tokens"] = at
    columns["entropy_next_bits"] = measures.predictions["entropy_bits"][at]
    columns["_boundary_before"] = ahead("boundary")
    columns |= {f"_{name}": ahead(name) for name in measures.predictions if name.startswith("top_")}
    columns["_boundary_after"] = measures.predictions["boundary"][at]
    return columns, {name: values[at] for name, values in measures.activity.items()}


def _corrected(text: StimulusText, columns: dict[str, np.ndarray], spaced: np.ndarray) -> np.ndarray:
    """Return surprisal with the whitespace correction at the first and the last token of each written word.

    White space after the last word belongs to no word. Where no token that begins with white space stands at a
    border (Chinese, interest areas inside a word), the correction is not defined and the value is missing.
    """
    index, trailing = text.tokens.word_index[text.scored :], text.trailing[text.scored :]
    first = np.ones(len(index), bool)
    first[1:] = (index[1:] != index[:-1]) | (trailing[1:] & ~trailing[:-1])
    last = np.append(first[1:], True)
    opens = np.append(spaced[list(text.ids)], True)  # a border before this token, or at the end of the text
    opens[0] = True
    begins, ends = opens[text.scored : -1], opens[text.scored + 1 :]
    corrected = columns["surprisal_bits"] - np.where(first, columns["_boundary_before"], 0)
    corrected += np.where(last & ~trailing, columns["_boundary_after"], 0)
    return np.where((begins | ~first) & (ends | ~last), corrected, np.nan)


def _own_columns(
    texts: Sequence[StimulusText],
    stimuli: pd.DataFrame,
    language: str,
    similarity: Sequence[np.ndarray],
    both_sides: bool,
) -> pd.DataFrame:
    """Return the columns that belong to the words themselves."""
    critical = stimuli.get("critical_index", pd.Series(pd.NA, index=stimuli.index, dtype="Int64"))
    regions = stimuli.get("regions", pd.Series(None, index=stimuli.index, dtype=object))
    blocks = []
    for text, target, region, near in zip(texts, critical, regions, similarity, strict=True):
        words = text.words
        number = np.arange(len(words))
        blocks.append(
            {
                "stimulus_id": np.repeat(np.array(text.stimulus_id, dtype=object), len(words)),
                "word_index": number,
                "word": np.array([word.text for word in words], dtype=object),
                "stimulus": np.array(
                    [stimulus_at(text.text, word.core_start, word.core_end, both_sides) for word in words],
                    dtype=object,
                ),
                "length": np.array([len(same_text(word.core)) for word in words], dtype=int),
                "zipf_frequency": np.array(
                    [zipf_frequency(word.core, language) for word in words], dtype=float
                ),
                "position": number + 1,
                "similarity_context": near,
                "shares_token": text.tokens.shared(len(words)),
                "is_critical": number == (-1 if pd.isna(target) else target),
                "region": np.array([None] * len(words) if _missing(region) else list(region), dtype=object),
            }
        )
    frame = _concatenated(blocks, tables.WORDS)
    return frame if holds_lists(regions) else frame.drop(columns="region")


def _roles(text: StimulusText) -> np.ndarray:
    """Return for each reported token whether it is its word's own and whether it trails the last word."""
    return np.stack([text.tokens.own, text.trailing])[:, text.scored :]


def _missing(value: object) -> bool:
    return not hasattr(value, "__iter__") or isinstance(value, str)


def _aggregate(tokens: pd.DataFrame) -> pd.DataFrame:
    """Return one row per word that has tokens, each column by its word rule; NaN in a token is NaN in its word."""
    key = ["stimulus_id", "word_index"]
    own = tokens[tokens["_own"]].groupby(key, sort=False)
    whole = tokens[~tokens["_trailing"]].groupby(key, sort=False)
    by_rule: dict[str, list[str]] = {}
    for measure in TOKENS:
        if measure.name in tokens and measure.name != "surprisal_corrected_bits":
            by_rule.setdefault(measure.word_rule, []).append(measure.name)
    parts = [
        tokens.groupby(key, sort=False)["surprisal_bits"]
        .sum(skipna=False)
        .rename("surprisal_with_punct_bits"),
        whole["surprisal_corrected_bits"].sum(skipna=False),
        own.size().rename("n_tokens"),
        own[by_rule["sum"]].sum(skipna=False),
        own[by_rule.get("mean", [])].mean(skipna=False),
        own.head(1).set_index(key)[by_rule["first"]],
        own.tail(1).set_index(key)[by_rule.get("last", [])],
        own[by_rule.get("any", [])].max(),
    ]
    return pd.concat(parts, axis=1).reset_index()


def _predictors(words: pd.DataFrame) -> list[str]:
    lagged = {measure.name for measure in (*TOKENS, *WORDS) if measure.lags}
    return [name for name in words if name in lagged]


def _concatenated(blocks: list[dict[str, np.ndarray]], table: tables.Schema) -> pd.DataFrame:
    """Stack blocks of columns into one frame with the table's order and types, also when there are none."""
    if not blocks:
        blocks = [{column.name: np.empty(0) for column in table.columns if column.required}]
    frame = pd.DataFrame({name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]})
    kinds = {column.name: column.dtype for column in table.columns}
    nullable = {"word_index": "Int64"}
    nullable |= {one.name: _NULLABLE[one.dtype] for one in TOKENS if one.dtype in _NULLABLE}
    types = {"str": "str", "int": "int64", "bool": "bool"}
    return frame.astype(
        {name: nullable.get(name, types[kinds[name]]) for name in frame if kinds[name] in types}
    )[[name for name in table.names() if name in frame]]
