"""Simulated single-trial amplitudes with stated effects, to test the pipeline and to show how it works.

An amplitude follows the crossed mixed model that the package fits::

    y = intercept + sum_k (b_k + u_k[subject]) x_k + u[subject] + u[item] + u[stimulus] + e

where x_k is a term of z-scored predictors, b_k its effect in µV per SD, and all u and e are independent normal.
Predictors vary over stimuli (unique texts up to the word), so stimuli have an intercept of their own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clada_neuro.errors import DataError, did_you_mean
from clada_neuro.stimuli.unit import stimulus_of

Array = NDArray[np.float64]
_LABELS = ("stimulus_id", "word_index", "item", "word")


@dataclass(frozen=True)
class Effects:
    """What one component's amplitude is made of, in µV.

    Attributes
    ----------
    fixed
        Effect per SD of a term: a predictor (``"surprisal_bits"``), an interaction
        (``"surprisal_bits:sparsity_energy99"``) or a square (``"surprisal_bits^2"``), of z-scored predictors.
    intercept
        Amplitude at the predictors' means.
    subject_slopes
        SD over subjects of a term's effect.
    subject_sd, item_sd, stimulus_sd, residual_sd
        SD of the random intercepts and of the single-trial noise.
    """

    fixed: Mapping[str, float]
    intercept: float = 0.0
    subject_slopes: Mapping[str, float] = field(default_factory=dict)
    subject_sd: float = 1.5
    item_sd: float = 0.5
    stimulus_sd: float = 0.5
    residual_sd: float = 7.0

    def terms(self) -> list[str]:
        """Return every term with an effect or a by-subject slope."""
        return list(dict.fromkeys([*self.fixed, *self.subject_slopes]))


DEFAULT_EFFECTS: Mapping[str, Effects] = {
    "n400_uv": Effects(
        fixed={"surprisal_bits": -0.9, "sparsity_energy99": -0.3, "surprisal_bits:sparsity_energy99": -0.3},
        intercept=-1.0,
        subject_slopes={"surprisal_bits": 0.3},
    ),
    "p600_uv": Effects(
        fixed={"surprisal_bits": 0.4, "adjustment_prev": 0.8},
        intercept=1.0,
        subject_slopes={"adjustment_prev": 0.3},
    ),
}


@dataclass(frozen=True)
class Simulation:
    """Simulated trials and the truth they were made from.

    Attributes
    ----------
    trials
        One row per trial kept: the columns of `tables.TRIALS`, ``word``, ``trial`` (order of presentation,
        from 1) and ``simulated`` (always true).
    effects
        The stated effects by amplitude column.
    scales
        Mean and SD of each predictor over the stimuli: index predictor, columns ``mean``, ``sd``.
    n_planned, n_missing
        Trials of the design, and how many of them were lost.
    seed
        What makes the simulation repeatable.
    """

    trials: pd.DataFrame
    effects: Mapping[str, Effects]
    scales: pd.DataFrame
    n_planned: int
    n_missing: int
    seed: int

    def truth(self) -> pd.DataFrame:
        """Return the stated values as a table: component, kind, term, value_uv, simulated."""
        rows = [
            (component, kind, term, value)
            for component, effects in self.effects.items()
            for kind, term, value in _stated(effects)
        ]
        return pd.DataFrame(rows, columns=["component", "kind", "term", "value_uv"]).assign(simulated=True)

    def describe(self) -> str:
        """Return one sentence for reports."""
        return (
            f"SIMULATED data: {self.trials['subject'].nunique()} simulated subjects, "
            f"{self.trials['stimulus'].nunique()} stimuli, {len(self.trials)} trials "
            f"({self.n_missing} of {self.n_planned} lost at random), seed {self.seed}."
        )


def simulate_trials(
    words: pd.DataFrame,
    *,
    effects: Mapping[str, Effects] = DEFAULT_EFFECTS,
    n_subjects: int = 40,
    seed: int = 0,
    latin_square: bool = True,
    missing: float = 0.05,
) -> Simulation:
    """Simulate single-trial amplitudes for critical words.

    Parameters
    ----------
    words
        One row per presented text: ``stimulus_id``, ``word_index``, ``item``, ``word``, optionally
        ``condition``, and every predictor that ``effects`` names.
    effects
        `Effects` by amplitude column (``n400_uv``, ``p600_uv``).
    n_subjects
        Number of subjects.
    seed
        The same seed and words give the same trials.
    latin_square
        Each subject sees each item once, versions rotating over subjects; otherwise every text.
    missing
        Share of trials lost, each independently.

    Returns
    -------
    Simulation
        Trials in order of presentation within subject.

    Raises
    ------
    DataError
        When a column or value is missing, a text stands in several rows, or a predictor does not vary.
    """
    stimuli = _stimuli(words)
    scales = _scales(stimuli, effects)
    rng = np.random.default_rng(seed)
    subject, row = _design(stimuli, n_subjects, latin_square, rng)
    trials = stimuli.iloc[row].reset_index(drop=True)
    width = len(str(n_subjects))
    trials.insert(0, "subject", [f"S{number + 1:0{width}d}" for number in subject])
    trials["trial"] = trials.groupby("subject").cumcount() + 1
    for column, stated in effects.items():
        terms = {term: _term(stimuli, scales, term) for term in stated.terms()}
        trials[column] = _amplitudes(stimuli, terms, stated, subject, row, rng)
    trials["simulated"] = True
    kept = trials.loc[rng.random(len(trials)) >= missing, _columns(trials, effects)].reset_index(drop=True)
    return Simulation(kept, effects, scales, len(trials), len(trials) - len(kept), seed)


def _stimuli(words: pd.DataFrame) -> pd.DataFrame:
    _require(words, _LABELS)
    stimuli = words.reset_index(drop=True).copy()
    twice = stimuli["stimulus_id"].duplicated()
    if twice.any():
        name = stimuli.loc[twice, "stimulus_id"].iloc[0]
        rows = int((stimuli["stimulus_id"] == name).sum())
        raise DataError(
            f"stimulus_id={name} stands in {rows} rows of the words table; pass its critical word only "
            "(words[words.is_critical])"
        )
    return stimuli.assign(stimulus=stimulus_of(stimuli))


def _scales(stimuli: pd.DataFrame, effects: Mapping[str, Effects]) -> pd.DataFrame:
    terms = [term for stated in effects.values() for term in stated.terms()]
    predictors = list(dict.fromkeys(name for term in terms for name in _factors(term)))
    _require(stimuli, predictors)
    for name in predictors:
        missing = stimuli[name].isna()
        if missing.any():
            raise DataError(
                f"predictor '{name}' is missing for {int(missing.sum())} stimuli, the first is "
                f"stimulus_id={stimuli.loc[missing, 'stimulus_id'].iloc[0]}; leave these stimuli out"
            )
    values = stimuli[predictors].astype(float)
    scales = pd.DataFrame({"mean": values.mean(), "sd": values.std()})
    constant = scales.index[~(scales["sd"] > 0)]
    if len(constant):
        raise DataError(f"predictor '{constant[0]}' does not vary over the stimuli, so it can have no effect")
    return scales


def _require(frame: pd.DataFrame, names: Iterable[str]) -> None:
    for name in names:
        if name not in frame:
            hint = did_you_mean(name, list(map(str, frame.columns)))
            raise DataError(f"the words table lacks column '{name}'{hint}; the simulation needs it")


def _factors(term: str) -> list[str]:
    """Split ``a:b`` into a, b and ``a^2`` into a, a."""
    factors = []
    for part in term.split(":"):
        name, _, power = part.partition("^")
        factors += [name.strip()] * int(power or 1)
    return factors


def _term(stimuli: pd.DataFrame, scales: pd.DataFrame, term: str) -> Array:
    product = np.ones(len(stimuli))
    for name in _factors(term):
        product *= (stimuli[name].to_numpy(float) - scales.at[name, "mean"]) / scales.at[name, "sd"]
    return product


def _design(
    stimuli: pd.DataFrame, n_subjects: int, latin_square: bool, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return subject number and stimulus row of every planned trial, in random order within subject."""
    versions = [np.asarray(rows) for rows in stimuli.groupby("item", sort=False).indices.values()]
    order = []
    for subject in range(n_subjects):
        if latin_square:
            rows = np.array([version[(subject + i) % len(version)] for i, version in enumerate(versions)])
        else:
            rows = np.arange(len(stimuli))
        order.append(rng.permutation(rows))
    return np.repeat(np.arange(n_subjects), [len(rows) for rows in order]), np.concatenate(order)


def _amplitudes(
    stimuli: pd.DataFrame,
    terms: Mapping[str, Array],
    stated: Effects,
    subject: NDArray[np.int64],
    row: NDArray[np.int64],
    rng: np.random.Generator,
) -> Array:
    """Return one amplitude per trial, µV."""
    n_subjects = int(subject.max()) + 1
    y = stated.intercept + rng.normal(0, stated.residual_sd, len(row))
    y += rng.normal(0, stated.subject_sd, n_subjects)[subject]
    for level, sd in (("item", stated.item_sd), ("stimulus", stated.stimulus_sd)):
        codes, names = pd.factorize(stimuli[level])
        y += rng.normal(0, sd, len(names))[codes][row]
    for term, values in terms.items():
        slopes = rng.normal(stated.fixed.get(term, 0.0), stated.subject_slopes.get(term, 0.0), n_subjects)
        y += slopes[subject] * values[row]
    return y


def _columns(trials: pd.DataFrame, effects: Mapping[str, Effects]) -> list[str]:
    labels = ["subject", "item", "stimulus", "condition", "stimulus_id", "word_index", "word", "trial"]
    return [name for name in labels if name in trials] + [*effects, "simulated"]


def _stated(effects: Effects) -> list[tuple[str, str, float]]:
    return [
        ("fixed", "intercept", effects.intercept),
        *(("fixed", term, value) for term, value in effects.fixed.items()),
        *(("subject_slope_sd", term, value) for term, value in effects.subject_slopes.items()),
        ("subject_sd", "intercept", effects.subject_sd),
        ("item_sd", "intercept", effects.item_sd),
        ("stimulus_sd", "intercept", effects.stimulus_sd),
        ("residual_sd", "intercept", effects.residual_sd),
    ]
