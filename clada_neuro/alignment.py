"""Join the words of a trace with the trials of an experiment, and account for every row that did not match."""

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro import artifacts
from clada_neuro.errors import AlignmentError, did_you_mean
from clada_neuro.stimuli import files
from clada_neuro.stimuli.unit import stimulus_of
from clada_neuro.tables import WORDS

_TEXT_KEYS = (["stimulus_id"], ["item", "condition"])
# The trace's own unit of analysis during the join, and what a trace calls a stimulus file's own column `stimulus`.
_TEXT, _OWN_IN_STIMULI = "_text", "stimulus_stimuli"


@dataclass(frozen=True)
class Alignment:
    """Trials with the measures of their words.

    Attributes
    ----------
    trials : pandas.DataFrame
        One row a matched trial: the trial's columns, then the word's.
    unmatched : pandas.DataFrame
        The trials that found no word, with a column `reason`.
    joins : list of dict
        Steps with `rows_before`, `rows_removed`, `rows_after` and `reason`, for the report.
    notes : tuple of str
        What should be known before the trials are analysed.
    """

    trials: pd.DataFrame
    unmatched: pd.DataFrame
    joins: list[dict[str, Any]] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Alignment({len(self.trials)} trials matched, {len(self.unmatched)} not)"

    def _repr_html_(self) -> str:
        joins = pd.DataFrame(self.joins).to_html(index=False, border=0)
        known = ("subject", "item", "condition", "word", "surprisal_bits", *self.trials.filter(regex="_uv$"))
        shown = [name for name in dict.fromkeys(known) if name in self.trials]
        head = self.trials[shown].head(5).round(3).to_html(index=False, border=0, na_rep="NA")
        notes = "".join(f"<p>note: {escape(note)}</p>" for note in self.notes)
        return f"<p>{self!r}</p>{joins}{notes}{head}"


def read_trials(path: str | Path) -> pd.DataFrame:
    """Read a table of single trials (CSV, TSV, semicolon CSV, xlsx or parquet).

    Columns of plain numbers become numbers; the words "None" and "NA" stay words where the column holds words.

    Raises
    ------
    AlignmentError
        If there is no column `subject`.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        trials = artifacts.read_table(path)
    else:
        raw = files.read_table(path)
        trials = files.numeric_columns(raw.frame, raw.decimal_comma)
    if "subject" not in trials:
        names = [str(name) for name in trials]
        hint = did_you_mean("subject", names)
        raise AlignmentError(f"'{path}' lacks the column 'subject'{hint}; it has {', '.join(names)}")
    return trials


def align(words: pd.DataFrame, trials: pd.DataFrame) -> Alignment:
    """Give each trial the measures of the word it was recorded on.

    Texts are matched by `stimulus_id` where both tables have it, else by `item` and `condition`. The word is the
    trial's `word_index` (from 0) where it has one, else the critical word. A column that both tables have is
    taken from the trials, unless it is one of the trace's measures: then the trial's copy becomes
    ``<name>_trials``. `stimulus` is the unique text up to and including the word, or the caller's own column of that
    name, in the trials or the stimulus file; where that groups trials otherwise, a note says how.

    Parameters
    ----------
    words : pandas.DataFrame
        The `words` table of a trace.
    trials : pandas.DataFrame
        One row per presentation of one word to one subject.

    Raises
    ------
    AlignmentError
        If the tables share no key, a key is ambiguous, or no trial matches.
    """
    key, targets = _join_key(words, trials)
    _refuse_ambiguous(targets, key)
    targets = targets.assign(**{_TEXT: stimulus_of(targets)})
    measures = {column.name for column in WORDS.columns} - {"stimulus"}
    shared = [name for name in trials if name in targets and name not in key]
    trials = trials.rename(columns={name: f"{name}_trials" for name in shared if name in measures})
    targets = targets.drop(columns=[name for name in shared if name not in measures])
    joined = trials.assign(**{name: _as_key(trials[name]) for name in key}).merge(
        targets.assign(**{name: _as_key(targets[name]) for name in key}),
        on=key,
        how="left",
        indicator="_match",
    )
    matched = joined["_match"].eq("both")
    lost = ~matched.to_numpy()
    unmatched = trials.loc[lost].assign(reason=_reasons(trials, words, key)[lost])
    if not matched.any():
        raise AlignmentError(_nothing_matched(trials, targets, key))
    result = joined.loc[matched].drop(columns="_match").reset_index(drop=True)
    if "word_index" in result:
        result["word_index"] = result["word_index"].astype("int64")
    result, notes = _with_stimulus(result, "stimulus" if "stimulus" in trials else _OWN_IN_STIMULI)
    steps = _joins(trials, unmatched, words, result)
    return Alignment(result, unmatched.reset_index(drop=True), steps, notes)


def _with_stimulus(trials: pd.DataFrame, own: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Settle `stimulus`: the caller's own column where there is one, else the text; say where the two differ."""
    text = trials[_TEXT]
    if own not in trials:
        return trials.drop(columns=_TEXT).assign(stimulus=text), ()
    given = _as_key(trials[own])
    if own == _OWN_IN_STIMULI and (trials.groupby("stimulus_id")["word_index"].nunique() > 1).any():
        given = (
            given + ":" + trials["word_index"].astype(str)
        )  # one label a text, several words measured in it
    return trials.drop(columns=_TEXT).assign(stimulus=given), _difference(given, text)


def _difference(given: pd.Series, text: pd.Series) -> tuple[str, ...]:
    """Say how a column `stimulus` of the caller's groups trials otherwise than their texts do."""
    known = given.notna()
    pairs = pd.DataFrame({"given": given[known], "text": text[known]}).drop_duplicates()
    n_given, n_text = pairs["given"].nunique(), pairs["text"].nunique()
    if len(pairs) == n_given == n_text:
        return ()
    if len(pairs) == n_text:
        effect = "it is coarser: it pools texts between which a model's predictors differ, so tests are too optimistic"
    elif len(pairs) == n_given:
        effect = "it is finer: the same text counts as several stimuli"
    else:
        effect = "the two cross: it pools some texts and divides others"
    return (
        f"your column 'stimulus' is used, with {n_given:,} values where the trials have {n_text:,} unique texts up to "
        f"and including the word; {effect}",
    )


def _join_key(words: pd.DataFrame, trials: pd.DataFrame) -> tuple[list[str], pd.DataFrame]:
    for text_key in _TEXT_KEYS:
        if all(name in words and name in trials for name in text_key):
            break
    else:
        raise AlignmentError(
            f"words and trials share neither stimulus_id nor item and condition; trials have {', '.join(trials)}"
        )
    if "word_index" in trials:
        return [*text_key, "word_index"], words
    if not words["is_critical"].any():
        raise AlignmentError(
            "the stimuli name no critical word and the trials have no column word_index; "
            "add critical_word to the stimuli, or word_index (from 0) to the trials"
        )
    return list(text_key), words.loc[words["is_critical"]]


def _as_key(values: pd.Series) -> pd.Series:
    """Make 7, 7.0 and '7' one key."""
    if pd.api.types.is_float_dtype(values) and values.dropna().mod(1).eq(0).all():
        values = values.astype("Int64")
    return values.astype("string")


def _refuse_ambiguous(targets: pd.DataFrame, key: list[str]) -> None:
    twice = targets.loc[targets.duplicated(key, keep=False)]
    if len(twice):
        first = ", ".join(f"{name}={twice.iloc[0][name]}" for name in key)
        raise AlignmentError(
            f"{len(twice)} words share their key ({first}, …): give trials and stimuli a common stimulus_id"
        )


def _reasons(trials: pd.DataFrame, words: pd.DataFrame, key: list[str]) -> np.ndarray:
    """Return why each trial, in its place, would stay without a word."""
    text_key = [name for name in key if name != "word_index"]
    known = set(zip(*(_as_key(words[name]) for name in text_key), strict=True))
    texts = list(zip(*(_as_key(trials[name]) for name in text_key), strict=True))
    missing_word = "no such word in the text" if "word_index" in key else "the text has no critical word"
    return np.array([missing_word if text in known else "no such text among the stimuli" for text in texts])


def _nothing_matched(trials: pd.DataFrame, targets: pd.DataFrame, key: list[str]) -> str:
    def example(frame: pd.DataFrame) -> str:
        return ", ".join(f"{name}={frame.iloc[0][name]}" for name in key) if len(frame) else "no rows"

    return (
        f"none of {len(trials)} trials matches a word: trials have {example(trials)}, "
        f"words have {example(targets)}; use the same identifiers in both files"
    )


def _joins(
    trials: pd.DataFrame, unmatched: pd.DataFrame, words: pd.DataFrame, result: pd.DataFrame
) -> list[dict[str, Any]]:
    steps = []
    before = len(trials)
    for reason, count in unmatched["reason"].value_counts().items():
        steps.append(_step("trials without a word", before, int(count), str(reason)))
        before -= int(count)
    if not steps:
        steps.append(_step("trials without a word", before, 0, "every trial found its word"))
    texts = words["stimulus_id"].nunique()
    unused = texts - result["stimulus_id"].nunique()
    steps.append(_step("stimuli without a trial", texts, unused, "no trial refers to the text"))
    return steps


def _step(step: str, before: int, removed: int, reason: str) -> dict[str, Any]:
    return {
        "step": step,
        "rows_before": before,
        "rows_removed": removed,
        "rows_after": before - removed,
        "reason": reason,
    }
