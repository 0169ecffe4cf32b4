"""Epochs with their words' measures, and averages by tercile."""

import numpy as np
import pytest

from clada_neuro.erp.evoked import waveforms
from clada_neuro.erp.predictors import tercile_averages, with_predictors
from clada_neuro.errors import DataError

NAMES = ["surprisal_bits", "adjustment_prev"]


def test_predictors_come_from_the_words_and_are_scaled_over_stimuli(simulated, words):
    data = with_predictors(simulated.epochs, words, NAMES)
    metadata = data.epochs["S02"].metadata
    truth = words.set_index("stimulus_id").loc[metadata["stimulus_id"], "surprisal_bits"]
    np.testing.assert_array_equal(metadata["surprisal_bits"], truth)
    stimuli = data.stimuli()
    assert len(stimuli) == stimuli["stimulus"].nunique() == 120
    assert stimuli["z_surprisal_bits"].mean() == pytest.approx(0, abs=1e-12)
    assert stimuli["z_surprisal_bits"].std() == pytest.approx(1)
    assert "z_surprisal_bits" not in simulated.epochs["S02"].metadata


def test_epochs_without_a_word_or_a_value_are_counted(simulated, words):
    holes = words.copy()
    holes.loc[holes["item"] == "i1", "surprisal_bits"] = np.nan
    data = with_predictors(simulated.epochs, holes[holes["item"] != "i0"], NAMES)
    reasons = data.lost["reason"]
    assert (reasons == "surprisal_bits is missing").sum() > 0
    assert reasons.str.startswith("no word has").sum() > 0
    kept = sum(len(epochs) for epochs in data.epochs.values())
    assert kept + len(data.lost) == sum(len(epochs) for epochs in simulated.epochs.values())


def test_unknown_and_constant_predictors_are_refused(simulated, words):
    with pytest.raises(DataError, match=r"no column 'surprisal' \(did you mean 'surprisal_bits'\?\)"):
        with_predictors(simulated.epochs, words, ["surprisal"])
    with pytest.raises(DataError, match="'adjustment_prev' does not vary"):
        with_predictors(simulated.epochs, words.assign(adjustment_prev=1.0), NAMES)


def test_terciles_split_stimuli_evenly_and_show_the_planted_negativity(simulated, words):
    data = with_predictors(simulated.epochs, words, NAMES)
    groups = tercile_averages(data, "surprisal_bits")
    assert [len(groups[name]) for name in ("low", "middle", "high")] == [10, 10, 10]
    total = sum(evoked.nave for evokeds in groups.values() for evoked in evokeds)
    assert total == sum(len(epochs) for epochs in data.epochs.values())
    curves = waveforms(groups, "n400").set_index(["group", "time_s"])["mean_uv"].unstack(0)
    at_400 = curves.loc[0.39:0.41].mean()
    assert at_400["high"] < at_400["low"] - 0.5


def test_too_few_stimuli_for_terciles_is_an_error(simulated, words):
    data = with_predictors({"S01": simulated.epochs["S01"][:2]}, words, NAMES)
    with pytest.raises(DataError, match="no subject has epochs in all three terciles"):
        tercile_averages(data, "surprisal_bits")


def test_epochs_without_a_baseline_period_are_one_line(simulated, words):
    late = {subject: epochs.copy().crop(0, 0.8) for subject, epochs in simulated.epochs.items()}
    data = with_predictors(late, words, NAMES)
    with pytest.raises(DataError, match="epochs that start at 0 ms have no baseline up to 0 ms"):
        tercile_averages(data, "surprisal_bits")
    assert tercile_averages(data, "surprisal_bits", baseline=None)["low"]
