"""Critical words by condition and difference waves, against the epochs themselves."""

import numpy as np
import pytest

from clada_neuro.erp.by_condition import condition_averages, conditions_of, difference_waves
from clada_neuro.erp.predictors import with_predictors
from clada_neuro.errors import DataError


@pytest.fixture(scope="module")
def data(simulated, words):
    return with_predictors(simulated.epochs, words, ["surprisal_bits"])


def _by_hand(simulated, subject, condition, sample=30):
    epochs = simulated.epochs[subject]
    kept = epochs.metadata["stimulus_id"].str[1:].astype(int) % 2 == int(condition[1])
    signal = epochs.get_data(picks="eeg", verbose="error")[kept.to_numpy()].mean(axis=0)
    return signal[:, sample] - signal[:, epochs.times <= 0].mean(axis=1)


def test_averages_and_differences_are_those_of_each_subjects_epochs(simulated, data):
    groups = condition_averages(data, ["c0", "c1"])
    assert {name: len(group) for name, group in groups.items()} == {"c0": 10, "c1": 10}
    (name,) = waves = difference_waves(groups)
    assert name == "c1 − c0"
    for place, subject in enumerate(simulated.epochs):
        c0, c1 = (_by_hand(simulated, subject, condition) for condition in ("c0", "c1"))
        np.testing.assert_allclose(groups["c0"][place].data[:, 30], c0, atol=1e-12)
        np.testing.assert_allclose(waves[name][place].data[:, 30], c1 - c0, atol=1e-12)


def test_every_condition_is_compared_with_the_first(data):
    groups = condition_averages(data, ["c1", "c0"])
    assert list(difference_waves({**groups, "third": groups["c0"]})) == ["c0 − c1", "third − c1"]


def test_conditions_are_those_of_critical_words_in_their_order(words):
    assert conditions_of(words) == ["c0", "c1"]
    other = words.assign(is_critical=words["condition"] == "c1")
    assert conditions_of(other) == []  # one condition is no comparison
    assert conditions_of(words.drop(columns="condition")) == []


def test_words_that_are_not_critical_are_in_no_average(simulated, words):
    half = words.assign(is_critical=words["item"].str[1:].astype(int) < 30)
    data = with_predictors(simulated.epochs, half, ["surprisal_bits"])
    counted = sum(
        average.nave for group in condition_averages(data, ["c0", "c1"]).values() for average in group
    )
    everyone = sum(len(epochs) for epochs in data.epochs.values())
    assert 0.4 * everyone < counted < 0.6 * everyone


def test_no_subject_with_every_condition_is_told(simulated, words):
    one = with_predictors({"S01": simulated.epochs["S01"]}, words, ["surprisal_bits"])
    with pytest.raises(DataError, match=r"critical words in every condition \(c0, c1, c2\)"):
        condition_averages(one, ["c0", "c1", "c2"])
