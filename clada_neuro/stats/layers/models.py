"""The models of a run with one layer's measure each in place of a predictor: rows, design, columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from clada_neuro.errors import FitError
from clada_neuro.stats.contrasts import Contrasts
from clada_neuro.stats.design import check_columns, complete_rows
from clada_neuro.stats.formula import parse, without
from clada_neuro.stats.layers.products import Candidates, unlike
from clada_neuro.stats.model import Model, specify

WORD = ("stimulus_id", "word_index")
FINAL = ("final", -1)  # the replaced predictor itself, beside the layers' measures


class Replacing(Protocol):
    """Which columns stand in place of which predictor."""

    @property
    def replaces(self) -> str:
        """The predictor."""

    @property
    def measures(self) -> tuple[str, ...]:
        """The columns."""


@dataclass(frozen=True)
class Given:
    """One model of a run: as it was fitted, its random part reduced where that was singular."""

    name: str
    formula: str
    standardize: tuple[str, ...] = ()
    contrasts: Contrasts | None = None
    weights: str | None = None


@dataclass(frozen=True, eq=False)
class PreparedColumns:
    """A baseline without the replaced predictor, and the columns of which each model has one more.

    ``columns`` names those of `candidates`, (measure, layer), the last one `FINAL`; ``scales`` holds their mean and SD over the
    rows, in whose units coefficients are.
    """

    given: Given
    baseline: Model
    candidates: Candidates
    columns: tuple[tuple[str, int], ...]
    scales: np.ndarray
    n_words: int
    notes: tuple[str, ...]


def replaceable(formula: str, predictor: str) -> str:
    """Return why a predictor cannot be replaced in a formula, empty where it can: it must be a term of its own."""
    parsed = parse(formula)
    if parsed.smooths:
        return f"'{formula}' has smooths, and models of layers are linear"
    _, gone = without(parsed, predictor)
    if predictor in gone:
        return ""
    return f"'{predictor}' is no term of '{formula}'" + (f", only part of {', '.join(gone)}" if gone else "")


def prepare(
    trials: pd.DataFrame, word_layers: pd.DataFrame, given: Given, settings: Replacing
) -> PreparedColumns:
    """Bring a model of a run and measures by layer together.

    Parameters
    ----------
    trials : pandas.DataFrame
        One row a trial, with `WORD` and the columns of the model.
    word_layers : pandas.DataFrame
        One row a word and layer (`clada_neuro.tables.WORD_LAYERS`).

    Raises
    ------
    FitError
        If the predictor cannot be replaced, a measure is not there, or no trial has all of them.
    """
    if reason := replaceable(given.formula, settings.replaces):
        raise FitError(f"{reason}; name the predictor to be replaced (replaces = …)")
    text, gone = without(parse(given.formula), settings.replaces)
    notes = _of_interactions(gone, settings.replaces)
    words, left_out = _words(word_layers, settings.measures)
    notes += left_out
    at = pd.MultiIndex.from_frame(trials[list(WORD)])
    codes = words.index.get_indexer(at)
    values = np.where((codes >= 0)[:, None], words.to_numpy()[codes], np.nan)
    needed = [*parse(given.formula).variables(), *([given.weights] if given.weights else [])]
    check_columns(trials, needed)
    complete = np.zeros(len(trials), dtype=bool)
    complete[complete_rows(trials, needed)] = True
    known = np.asarray(np.isfinite(values).all(axis=1))
    notes += _of_rows(complete, known, values, words.columns, codes)
    rows = np.flatnonzero(complete & known)
    if not len(rows):
        raise FitError(f"no trial of {len(trials)} has values of all measures by layer; {'; '.join(notes)}")
    used = trials.iloc[rows]
    present = {*parse(text).variables(), given.weights}
    baseline = specify(
        used,
        text,
        name=given.name,
        standardize=[name for name in given.standardize if name in present] or False,
        contrasts=_present(given.contrasts, present),
        weights=given.weights,
    )
    final = used[settings.replaces].to_numpy(float)
    table = np.column_stack([values[rows], final])
    distinct, places = np.unique(table, axis=0, return_inverse=True)
    scales = np.stack([table.mean(axis=0), table.std(axis=0, ddof=1)])
    candidates = Candidates((distinct - scales[0]) / np.where(scales[1] > 0, scales[1], 1), places.ravel())
    keep = unlike(baseline.design, candidates)
    columns = [*words.columns, FINAL]
    if not keep[-1]:
        raise FitError(f"'{settings.replaces}' is a linear combination of the other predictors of '{text}'")
    notes += [
        f"{name} of layer {layer} is left out: it is constant, or a combination of the other predictors"
        for (name, layer), kept in zip(columns, keep, strict=True)
        if not kept
    ]
    return PreparedColumns(
        given,
        baseline,
        Candidates(candidates.values[:, keep], candidates.codes),
        tuple(column for column, kept in zip(columns, keep, strict=True) if kept),
        scales[:, keep],
        len(np.unique(codes[rows])),
        tuple(notes),
    )


def _words(word_layers: pd.DataFrame, measures: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Return a row a word and a column a measure and layer, and which have no value at all."""
    missing = [name for name in measures if name not in word_layers]
    if missing:
        raise FitError(
            f"these measures by layer are not in the trace: {', '.join(missing)}; it has "
            f"{', '.join(name for name in word_layers if name not in (*WORD, 'layer'))}"
        )
    wide = word_layers.set_index([*WORD, "layer"])[list(measures)].astype(float).unstack("layer")
    empty = wide.columns[wide.isna().all()]
    notes = [f"{name} of layer {layer} is left out: it is not defined" for name, layer in empty]
    return wide.drop(columns=empty), notes


def _of_interactions(gone: Sequence[str], predictor: str) -> list[str]:
    others = [term for term in gone if term != predictor]
    if not others:
        return []
    return [f"interactions are left out of all models: {', '.join(others)}"]


def _of_rows(
    complete: np.ndarray, known: np.ndarray, values: np.ndarray, columns: pd.Index, codes: np.ndarray
) -> list[str]:
    notes = []
    if short := int((~complete).sum()):
        notes.append(f"{short:,} of {len(complete):,} trials lack a value of the model's own columns")
    if lost := int((complete & ~known).sum()):
        without_word = int((complete & (codes < 0)).sum())
        missing = ~np.isfinite(values[complete & (codes >= 0)])
        by_measure = {
            name: int(missing[:, columns.get_level_values(0) == name].any(axis=1).sum())
            for name in dict.fromkeys(columns.get_level_values(0))
        }
        said = [f"{name} {count:,}" for name, count in by_measure.items() if count]
        said += [f"no word of the trace {without_word:,}"] if without_word else []
        notes.append(f"{lost:,} trials lack a value of a measure by layer: {', '.join(said)}")
    return notes


def _present(contrasts: Contrasts | None, names: set[str | None]) -> Contrasts | None:
    if not isinstance(contrasts, Mapping):
        return contrasts
    return {name: coding for name, coding in contrasts.items() if name in names}
