"""Ettinger 2020: CPRAG-102, ROLE-88 and NEG-136, tables of contexts and completions, to one row a sentence.

Sentences end with their critical word, without a full stop, as in the source. In NEG-136-SIMP the article that the
source leaves open, "(a|an)", follows the noun.
"""

from pathlib import Path

import pandas as pd

from clada_neuro.stimuli.cells import typed
from clada_neuro.stimuli.files import RawTable, read_table
from clada_neuro.stimuli.formats import read_stimuli
from clada_neuro.stimuli.registry import data_set

_NEG_CONDITIONS = {
    "affirmative_true": ("context_aff", "target_aff"),
    "affirmative_false": ("context_aff", "target_neg"),
    "negative_true": ("context_neg", "target_neg"),
    "negative_false": ("context_neg", "target_aff"),
}


def load_stimuli(folder: Path, name: str) -> pd.DataFrame:
    """Return the sentences of ``cprag102``, ``role88``, ``neg136_simp`` or ``neg136_nat``.

    Conditions: ``expected``, ``within_category``, ``between_category`` · ``canonical``, ``reversed`` ·
    ``affirmative_true``, ``affirmative_false``, ``negative_true``, ``negative_false``.
    """
    table = read_table(folder / data_set(name).files[0].name).frame
    build = {"cprag102": _cprag, "role88": _role}.get(name, _negation)
    frame = build(table)
    frame["critical_index"] = frame["sentence"].str.split().str.len() - 1
    return read_stimuli(typed(RawTable(frame, list(map(str, frame.index)), name)), index_base=0)


def _cprag(table: pd.DataFrame) -> pd.DataFrame:
    kept = table[["item", "constraint"]].assign(context=table["context_s1"])
    parts = [
        kept.assign(condition=condition, sentence=_join(table["context_s2"], table[condition]))
        for condition in ("expected", "within_category", "between_category")
    ]
    return _interleave(parts)


def _role(table: pd.DataFrame) -> pd.DataFrame:
    item, version = table["item"].str.split("-").str[0], table["item"].str[-1]
    kept = table.drop(columns=["item", "context"])
    return kept.assign(
        item=item,
        condition=version.map({"a": "canonical", "b": "reversed"}),
        sentence=_join(table["context"], table["target"]),
    )


def _negation(table: pd.DataFrame) -> pd.DataFrame:
    kept = table.drop(columns=["context_aff", "context_neg", "target_aff", "target_neg"])
    parts = [
        kept.assign(condition=condition, sentence=_join(table[context], table[target]))
        for condition, (context, target) in _NEG_CONDITIONS.items()
    ]
    return _interleave(parts)


def _join(contexts: pd.Series, words: pd.Series) -> list[str]:
    return [
        f"{context.strip().replace('(a|an)', _article(word))} {word.strip()}"
        for context, word in zip(contexts, words, strict=True)
    ]


def _article(word: str) -> str:
    return "an" if word.strip()[0] in "aeiou" else "a"


def _interleave(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Put the conditions of an item next to each other, items in the order of the source."""
    return pd.concat(parts).sort_index(kind="stable").reset_index(drop=True)
