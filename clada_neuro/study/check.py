"""What was understood of stimuli and trials, without a model: in seconds, before hours are spent on a mistake."""

from collections.abc import Collection, Iterator

import numpy as np
import pandas as pd
from pandas.api import types

from clada_neuro.instrument.covariates import check_language, unknown_words, zipf_frequency
from clada_neuro.instrument.words import find_words
from clada_neuro.responses.alignment import align
from clada_neuro.responses.columns import PARTS, usual
from clada_neuro.responses.response import is_response, response_of
from clada_neuro.responses.unmatched import MAX_LOST
from clada_neuro.stimuli.design import holds_lists, words_of
from clada_neuro.stimuli.unit import stimulus_at

_SHOWN = 8  # conditions, regions or responses that are listed by name


def check(
    stimuli: pd.DataFrame,
    trials: pd.DataFrame | None = None,
    *,
    language: str = "en",
    trial_index_base: int | None = None,
    max_lost: float = MAX_LOST,
) -> Iterator[str]:
    """Yield lines that describe stimuli, and trials that belong to them, as a run would read them.

    Parameters
    ----------
    stimuli : pandas.DataFrame
        As `clada_neuro.read_stimuli` returns them.
    trials : pandas.DataFrame, optional
        As `clada_neuro.responses.trials.read_trials` returns them.
    language : str
        Of the word frequencies.
    trial_index_base, max_lost
        As in `clada_neuro.align`.

    Raises
    ------
    AlignmentError
        As `clada_neuro.align`, after the lines on the stimuli.
    """
    words = bare_words(stimuli, check_language(language))
    yield from (*_texts(stimuli), *_words(words), *_regions(stimuli))
    for note in (*stimuli.attrs.get("notes", []), *unknown_words(words, language)):
        yield f"note: {note}"
    if trials is None:
        return
    aligned = align(words, trials, index_base=trial_index_base, max_lost=max_lost)
    yield f"trials: {len(trials):,}, of which {len(aligned.trials):,} find their word"
    for step in aligned.joins:
        if step["rows_removed"]:
            yield f"{step['step']}: {step['rows_removed']:,} of {step['rows_before']:,} ({step['reason']})"
    for note in aligned.notes:
        yield f"note: {note}"
    yield from (*_design(aligned.trials), *_responses(aligned.trials, trials.columns))


def bare_words(stimuli: pd.DataFrame, language: str = "en") -> pd.DataFrame:
    """Return one row a word of the sentences with what needs no model: its text, place, stimulus and frequency."""
    rows = []
    for _, text in stimuli.iterrows():
        context = text.get("context")
        before = "" if pd.isna(context) or not context else f"{str(context).rstrip()} "
        critical = text.get("critical_index")
        for place, word in enumerate(find_words(text["sentence"], words_of(text), len(before))):
            rows.append(
                {
                    "stimulus_id": text["stimulus_id"],
                    "word_index": place,
                    "word": word.text,
                    "stimulus": stimulus_at(before + text["sentence"], word.core_start, word.core_end),
                    "zipf_frequency": zipf_frequency(word.core, language),
                    "is_critical": not pd.isna(critical) and place == critical,
                    "item": text["item"],
                    "condition": text["condition"],
                }
            )
    return pd.DataFrame(rows)


def _texts(stimuli: pd.DataFrame) -> Iterator[str]:
    counts = stimuli["condition"].value_counts(sort=False)
    named = ", ".join(f"{name} {count}" for name, count in counts.head(_SHOWN).items())
    more = f", {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else ""
    yield (
        f"texts: {len(stimuli):,} of {stimuli['item'].nunique():,} items in {len(counts)} "
        f"condition{'s' * (len(counts) > 1)} ({named}{more})"
    )
    if len(counts) > 1:
        yield f"design: {_crossing(stimuli)}"
    if predictions := stimuli.attrs.get("predictions"):
        suites = len({one["suite"] for one in predictions})
        yield f"predictions: {len(predictions)} of {suites} suite{'s' * (suites > 1)}, judged by clada-neuro trace"
    if "context" in stimuli:
        yield f"preceding text: in {int(stimuli['context'].fillna('').ne('').sum())} of {len(stimuli)} texts"


def _crossing(stimuli: pd.DataFrame) -> str:
    """Say which items stand in which conditions."""
    order = {name: place for place, name in enumerate(stimuli["condition"].unique())}
    cells = stimuli.groupby("item", sort=False)["condition"].agg(
        lambda names: tuple(sorted(set(names), key=order.__getitem__))
    )
    kinds = cells.value_counts()
    if len(kinds) == 1 and len(kinds.index[0]) == len(order):
        return "items and conditions are crossed: every item stands in every condition"
    if kinds.index.map(len).max() == 1:
        return f"items are nested in conditions: each stands in one ({_counted(kinds)})"
    told = [f"{count} items in {' + '.join(names)}" for names, count in kinds.head(_SHOWN).items()]
    first = cells.index[cells == kinds.index[-1]][0]
    return "; ".join(told) + (
        f" (item {first} is one of the last)" if kinds.iloc[-1] < kinds.iloc[0] / 2 else ""
    )


def _counted(kinds: pd.Series) -> str:
    shown = [f"{count} in {' + '.join(names)}" for names, count in kinds.head(_SHOWN).items()]
    return ", ".join(shown + ["…"] * (len(kinds) > _SHOWN))


def _words(words: pd.DataFrame) -> Iterator[str]:
    lengths = words.groupby("stimulus_id").size()
    yield f"words: {len(words):,}, {_range(lengths)} a text"
    critical = words[words["is_critical"]]
    if critical.empty:
        yield "critical word: none named; trials must say which word they belong to (word_index)"
        return
    yield (
        f"critical word: in {len(critical):,} of {len(lengths):,} texts, word {_range(critical['word_index'] + 1)} of "
        f"the sentence (from 1); {critical['stimulus'].nunique():,} unique texts up to and including it"
    )


def _regions(stimuli: pd.DataFrame) -> Iterator[str]:
    if "regions" in stimuli and holds_lists(stimuli["regions"]):
        names = list(dict.fromkeys(name for labels in stimuli["regions"] for name in labels))
        yield f"regions: {', '.join(names[:_SHOWN])}{', …' if len(names) > _SHOWN else ''}"


def _design(trials: pd.DataFrame) -> Iterator[str]:
    seen = trials.groupby("subject")["stimulus_id"].nunique()
    heard = trials.groupby("stimulus_id")["subject"].nunique()
    yield (
        f"design: {len(seen):,} subjects with {_range(seen)} texts each; every text by {_range(heard)} of them; "
        f"{trials['stimulus'].nunique():,} stimuli"
    )
    cells = trials.groupby(["subject", "condition"]).size()
    conditions = trials["condition"].nunique()
    full = len(seen) * conditions
    if conditions > 1:
        met = cells.groupby(level="subject").size()
        yield "design: " + (
            "subjects and conditions are crossed: every subject meets every condition"
            if met.min() == conditions
            else "subjects are nested in conditions: each meets one"
            if met.max() == 1
            else f"subjects meet {_range(met)} of {conditions} conditions"
        )
    yield f"cells: {_range(cells)} trials a subject and condition" + (
        f"; {full - len(cells)} of {full} cells are empty" if len(cells) < full else ""
    )


def _responses(trials: pd.DataFrame, given: Collection[str]) -> Iterator[str]:
    numbers = [name for name in trials if pd.api.types.is_numeric_dtype(trials[name])]
    known = [name for name in map(str, numbers) if is_response(name)]
    for name in known[:_SHOWN]:
        values = trials[name].dropna().astype(float)
        missing = f", {len(trials) - len(values):,} missing" if len(values) < len(trials) else ""
        if values.empty:
            yield f"response {name}: no value{missing}"
            continue
        yield (
            f"response {name}: {len(values):,} values{missing}; mean {values.mean():.4g}, SD {values.std():.4g}, "
            f"{values.min():.4g} to {values.max():.4g} {response_of(name).unit}".rstrip()
        )
    others = [
        name
        for name in map(str, numbers)
        if name not in known and name in given and not types.is_bool_dtype(trials[name])
        and not any(usual([name], part) for part in PARTS)
    ]  # fmt: skip
    if others:
        shown = ", ".join(others[:_SHOWN]) + ", …" * (len(others) > _SHOWN)
        yield f"other columns of numbers, which --response may name: {shown}"
    if not known:
        yield "response: no column is known as one (_uv, _ms, rt); name it with run … --response"


def _range(values: pd.Series) -> str:
    low, high = int(np.min(values)), int(np.max(values))
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
