"""Join the words of a trace with the trials of an experiment, and account for every row that did not match."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.errors import AlignmentError
from clada_neuro.lineage import trace_of
from clada_neuro.losses import step
from clada_neuro.responses import unmatched as lost
from clada_neuro.responses.columns import missing_advice, take_columns
from clada_neuro.responses.repeats import repeats
from clada_neuro.responses.trials import label_text
from clada_neuro.responses.unmatched import MAX_LOST
from clada_neuro.stimuli.keys import as_key, loose, plain_words, without_conditions
from clada_neuro.stimuli.matching import NOWHERE, in_their_spelling, one_lower, only_text, places
from clada_neuro.stimuli.unit import stimulus_of
from clada_neuro.tables import WORDS

_TEXT_KEYS = (["stimulus_id"], ["item", "condition"], ["item"])
# The trace's own unit of analysis during the join, and what a trace calls a stimulus file's own column `stimulus`.
_TEXT, _OWN_IN_STIMULI = "_text", "stimulus_stimuli"
_MEASURES = {column.name for column in WORDS.columns} - {"stimulus"}
_NEARLY_ALL = 0.9
_LABEL = re.compile(r".*:[0-9a-f]{12}", re.DOTALL)  # of a stimulus, as the trace writes it
_DERIVED = re.compile(r"(.+)_(lag\d+|next)")  # as the trace and word-by-word presentation add them


@dataclass(frozen=True)
class Alignment:
    """Trials with the measures of their words.

    Attributes
    ----------
    trials : pandas.DataFrame
        One row a matched trial: the trial's columns, then the word's. The index is the trials' own.
    unmatched : pandas.DataFrame
        The trials that found no word, with a column `reason`.
    joins : list of dict
        Steps with `rows_before`, `rows_removed`, `rows_after` and `reason`, for the report.
    notes : tuple of str
        What should be known before the trials are analysed.
    trace : str or None
        The id of the trace that the words are of; None where that is not known.
    """

    trials: pd.DataFrame
    unmatched: pd.DataFrame
    joins: list[dict[str, Any]] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    trace: str | None = None

    def __repr__(self) -> str:
        return f"Alignment({len(self.trials)} trials matched, {len(self.unmatched)} not)"

    def _repr_html_(self) -> str:
        joins = pd.DataFrame(self.joins).to_html(index=False, border=0)
        known = ("subject", "item", "condition", "word", "surprisal_bits", *self.trials.filter(regex="_uv$"))
        shown = [name for name in dict.fromkeys(known) if name in self.trials]
        head = self.trials[shown].head(5).round(3).to_html(index=False, border=0, na_rep="NA")
        notes = "".join(f"<p>note: {escape(note)}</p>" for note in self.notes)
        return f"<p>{self!r}</p>{joins}{notes}{head}"


def align(
    words: pd.DataFrame,
    trials: pd.DataFrame,
    *,
    columns: Mapping[str, str] | None = None,
    index_base: int | None = None,
    max_lost: float = MAX_LOST,
) -> Alignment:
    """Give each trial the measures of the word it was recorded on.

    Texts are matched by `stimulus_id` where both tables have it, else by `item` and `condition`; keys that differ
    only in case, blanks or zeros before a number are taken for one another, and said. The word is the trial's
    `word_index` where it has one, else the critical word, and where both tables name the `word` it must be the same.
    A column that both tables have is taken from the trials, unless it is one of the trace's measures: then the
    trial's copy becomes ``<name>_trials``. Trials that were aligned before lose the measures of the earlier trace.
    `stimulus` is the unique text up to and including the word, or the caller's own column of that name, in the trials
    or the stimulus file; where that groups trials otherwise, a note says how.

    Parameters
    ----------
    words : pandas.DataFrame
        The `words` table of a trace.
    trials : pandas.DataFrame
        One row per presentation of one word to one subject.
    columns : mapping, optional
        Our names to the trials' columns, as ``{"subject": "Subj"}``; usual names are recognised, and said in the notes.
    index_base : int, optional
        0 or 1: what `word_index` counts from in the trials; 0 by default.
    max_lost : float
        The largest share of trials that may stay without a word.

    Raises
    ------
    AlignmentError
        If the tables share no key, a key is ambiguous, no trial matches, or more than `max_lost` do not.
    """
    if trials.empty:
        raise AlignmentError("none of 0 trials matches a word: the table of trials has no row")
    read, rows = trials.attrs.get("notes", []), trials.index  # by `read_trials`
    trials, taken = take_columns(trials.reset_index(drop=True), columns)
    trials, said_of_text = _with_the_only_text(label_text(trials), words)
    key, targets = _join_key(words, trials)
    targets = targets.reset_index(drop=True)
    offered = pd.DataFrame({name: as_key(targets[name]) for name in key})
    _refuse_ambiguous(offered)
    wanted, notes = _wanted(trials, words, key, index_base or 0)
    found = places(wanted, offered)
    reasons = lost.reasons(trials, wanted, words, targets, found)
    gone = reasons.ne("").to_numpy()
    hint = _index_hint(trials, wanted, targets, offered, gone) if index_base is None else ""
    beside = [] if index_base is not None else _one_too_far(wanted, targets, found[~gone])
    if gone.all():
        raise AlignmentError(_nothing_matched(wanted, offered, reasons, words) + hint)
    steps, warnings = lost.steps(reasons, wanted, words, max_lost, hint)
    kept, said = _without_measures(trials.assign(**wanted[key].astype("str")), key)
    targets = targets.assign(**{_TEXT: stimulus_of(targets)})
    own = targets.drop(columns=[name for name in targets if name in kept and name != "word_index"])
    result = pd.concat(
        [
            kept.loc[~gone].drop(columns="word_index", errors="ignore").reset_index(drop=True),
            own.iloc[found[~gone]].reset_index(drop=True),
        ],
        axis=1,
    )
    result, differing = _with_stimulus(result, "stimulus" if "stimulus" in kept else _OWN_IN_STIMULI)
    result.index = rows[~gone]
    unmatched = trials.loc[gone].assign(reason=reasons[gone]).set_axis(rows[gone])
    notes = [
        *warnings,
        *read,
        *taken,
        *said_of_text,
        *repeats(trials.assign(**wanted).set_axis(rows), _of_one_trial(trials, key)),
        *_namesakes(trials),
        *beside,
        *notes,
        *said,
        *differing,
    ]
    notes = list(dict.fromkeys(notes))
    return Alignment(result, unmatched, [*steps, _unused(words, result)], tuple(notes), trace_of(words))


def _with_stimulus(trials: pd.DataFrame, own: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Settle `stimulus`: the caller's own column where there is one, else the text; say where the two differ."""
    text = trials[_TEXT]
    if own not in trials:
        return trials.drop(columns=_TEXT).assign(stimulus=text), ()
    given = as_key(trials[own])
    given = given.mask(given == "").astype("str")
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
        f"the column 'stimulus' that the data bring is used, with {n_given:,} values where the trials have {n_text:,} unique texts up to "
        f"and including the word; {effect}",
    )


def _with_the_only_text(trials: pd.DataFrame, words: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Name the text of trials of its words (a story) that name none, where there is only one."""
    if not (only := only_text(trials, words, ("stimulus_id", "item"))):
        return trials, []
    note = f"the trials name no text; all of them are taken to be of the only one, '{only}'"
    return trials.assign(stimulus_id=only), [note]


def _of_one_trial(trials: pd.DataFrame, key: list[str]) -> list[str]:
    return ["subject", *key] if "subject" in trials else key


def _join_key(words: pd.DataFrame, trials: pd.DataFrame) -> tuple[list[str], pd.DataFrame]:
    for text_key in _TEXT_KEYS:
        if all(name in words and name in trials for name in text_key) and _names_texts(
            text_key, words, trials
        ):
            break
    else:
        raise AlignmentError(
            f"words and trials share neither stimulus_id nor item and condition; trials have {', '.join(trials)}; for "
            + missing_advice(
                list(trials), next((name for name in ("item", "condition") if name not in trials), "item")
            )
        )
    if "word_index" in trials:
        return [*text_key, "word_index"], words
    if not words["is_critical"].any():
        raise AlignmentError(
            "the stimuli name no critical word and the trials have no column word_index; "
            "add critical_word to the stimuli, or word_index (from 0) to the trials"
        )
    return list(text_key), words.loc[words["is_critical"]]


def _names_texts(key: list[str], words: pd.DataFrame, trials: pd.DataFrame) -> bool:
    """Return whether these columns tell the texts apart: an item alone does where it has one text."""
    if key == ["item", "condition"]:
        return not without_conditions(words, trials)
    return key != ["item"] or bool((words.groupby("item")["stimulus_id"].nunique() == 1).all())


def _wanted(
    trials: pd.DataFrame, words: pd.DataFrame, key: list[str], index_base: int
) -> tuple[pd.DataFrame, list[str]]:
    """Return the trials' keys in the words' spelling, and which were spelled otherwise."""
    wanted, notes = {}, []
    for name in key:
        given = as_key(trials[name])
        if name == "word_index":
            wanted[name] = as_key(pd.to_numeric(given, errors="coerce") - index_base)
            continue
        wanted[name], note = in_their_spelling(name, given, as_key(words[name]), "trials")
        if note:
            notes.append(note + _kept_apart(trials, name))
    return pd.DataFrame(wanted), notes


def _kept_apart(trials: pd.DataFrame, name: str) -> str:
    """Say which of the caller's columns plays the part of `name` and keeps its spellings, which a formula may name."""
    own = [str(column) for column in trials if column != name and trials[column].equals(trials[name])]
    return f" (the column '{own[0]}' keeps them apart: name {name} in formulas)" if own else ""


def _index_hint(
    trials: pd.DataFrame, wanted: pd.DataFrame, targets: pd.DataFrame, offered: pd.DataFrame, gone: np.ndarray
) -> str:
    """Say that `word_index` counts from 1, where that finds more of the trials' words, and nearly all."""
    if "word_index" not in wanted or not gone.any():
        return ""
    found = places(one_lower(wanted), offered)
    right = found != NOWHERE
    if "word" in trials:
        there = targets["word"].iloc[found[right]]
        right[right] = plain_words(trials["word"][right]).to_numpy() == plain_words(there).to_numpy()
    if right.mean() < _NEARLY_ALL or right.mean() <= 1 - gone.mean():
        return ""
    return "; word_index seems to count from 1: say so with --trial-index-base 1 (index_base=1 in Python)"


def _one_too_far(wanted: pd.DataFrame, targets: pd.DataFrame, found: np.ndarray) -> list[str]:
    """Say that all trials are of the word after the critical one: spillover, or an index that counts from 1."""
    at = np.unique(found)
    if "word_index" not in wanted or "is_critical" not in targets:
        return []
    critical = targets["is_critical"].to_numpy(bool)
    if not len(at) or not at.all() or critical[at].any() or not critical[at - 1].all():
        return []
    first = targets["word"].iloc[[at[0] - 1, at[0]]].tolist()
    return [
        f"warning: every trial is of the word after the critical one ('{first[1]}' after '{first[0]}'); if word_index "
        "counts from 1, say so with --trial-index-base 1 (index_base=1 in Python); 0 says that this word is meant"
    ]


def _refuse_ambiguous(offered: pd.DataFrame) -> None:
    twice = offered.loc[offered.duplicated(keep=False)]
    if len(twice):
        first = ", ".join(f"{name}={value}" for name, value in twice.iloc[0].items())
        raise AlignmentError(
            f"{len(twice)} words share their key ({first}, …): give trials and stimuli a common stimulus_id"
        )


def _nothing_matched(
    wanted: pd.DataFrame, offered: pd.DataFrame, reasons: pd.Series, words: pd.DataFrame
) -> str:
    def example(keys: pd.DataFrame) -> str:
        return ", ".join(f"{name}={keys.iloc[0][name]}" for name in keys)

    why = "; ".join(lost.describe(reasons, wanted, words).values())
    keys = reasons.str.startswith(lost.NO_TEXT).any()
    return (
        f"none of {len(wanted)} trials matches a word: "
        + (f"trials have {example(wanted)}, words have {example(offered)}; " if keys else "")
        + why
        + ("; use the same identifiers in both files" if keys else "")
    )


def _without_measures(trials: pd.DataFrame, key: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """Take an earlier trace's measures out of trials that were aligned before; rename what others call the same."""
    known = [name for name in map(str, trials.columns) if name not in key and _is_measure(name)]
    required = {column.name for column in WORDS.columns if column.required}
    if required <= set(trials):
        labels = trials["stimulus"].astype(str) if "stimulus" in trials else pd.Series(dtype=str)
        made = ["stimulus"] if labels.str.fullmatch(_LABEL).all() and "stimulus" in trials else []
        note = (
            f"the trials were aligned before: {len(known)} measures of that trace and their lags are left out"
        )
        return trials.drop(columns=[*known, *made]), [note]
    renamed = {name: f"{name}_trials" for name in known}
    if twice := [name for name in renamed.values() if name in trials]:
        raise AlignmentError(
            f"the trials have both {twice[0].removesuffix('_trials')} and {twice[0]}; leave one out"
        )
    said = [f"{old} is now {new}" for old, new in renamed.items() if old not in ("word", "word_index")]
    notes = [f"the trials' own columns that are named as the trace's: {', '.join(said)}"] if said else []
    return trials.rename(columns=renamed), notes


def _is_measure(name: str) -> bool:
    derived = _DERIVED.fullmatch(name)
    return (derived[1] if derived else name) in _MEASURES


def _namesakes(trials: pd.DataFrame) -> list[str]:
    """Say which subjects are spelled almost alike: one person written in two ways counts as two."""
    if "subject" not in trials:
        return []
    alike: dict[str, list[str]] = {}
    for name in sorted(set(as_key(trials["subject"])) - {""}):
        alike.setdefault(loose(name), []).append(name)
    return [
        f"subjects {', '.join(map(repr, names))} differ only in case, blanks or zeros and count as {len(names)} people; "
        "spell them alike if they are one"
        for names in alike.values()
        if len(names) > 1
    ]


def _unused(words: pd.DataFrame, result: pd.DataFrame) -> dict[str, Any]:
    texts = words["stimulus_id"].nunique()
    return step(
        "stimuli without a trial",
        texts,
        texts - result["stimulus_id"].nunique(),
        "no trial refers to the text",
    )
