"""Recordings that differ: order and number of channels, bad ones, length, rate, and holes in the data."""

import mne
import numpy as np
import pytest

from clada_neuro.erp.by_item import by_item
from clada_neuro.erp.layout import common_layout, flat_channels
from clada_neuro.erp.predictors import tercile_averages, with_predictors
from clada_neuro.erp.rerp import rerp
from clada_neuro.erp.simulate_eeg import simulate_epochs
from clada_neuro.errors import DataError

NAMES = ("surprisal_bits", "adjustment_prev")


@pytest.fixture(scope="module")
def stimuli(critical_words):
    return critical_words(40, 2)


@pytest.fixture(scope="module")
def recorded(stimuli):
    """Six subjects of one cap."""
    return simulate_epochs(stimuli, n_subjects=6, seed=5, sfreq=50.0).epochs


@pytest.fixture
def own(recorded):
    """Copies that a test may change."""
    return {subject: epochs.copy() for subject, epochs in recorded.items()}


def hole(epochs: mne.BaseEpochs, channel: str, epoch: int | slice = slice(None)) -> None:
    epochs._data[epoch, epochs.ch_names.index(channel)] = np.nan


def test_channels_in_another_order_change_nothing(recorded, own, stimuli):
    rng = np.random.default_rng(0)
    for subject in ("S2", "S4", "S5"):
        own[subject].reorder_channels(list(rng.permutation(own[subject].ch_names)))
    found, expected = [with_predictors(epochs, stimuli, NAMES) for epochs in (own, recorded)]
    ours, reference = [rerp(data, n_permutations=50) for data in (found, expected)]
    assert ours.clusters.equals(reference.clusters)
    for predictor in NAMES:
        np.testing.assert_array_equal(ours.t_values[predictor], reference.t_values[predictor])
    reference.clusters["p"] = 0.01  # so that cluster means are taken
    ours.clusters["p"] = 0.01
    assert by_item(found, result=ours).equals(by_item(expected, result=reference))
    low = [tercile_averages(data, "surprisal_bits")["low"] for data in (found, expected)]
    for one, other in zip(*low, strict=True):
        assert one.ch_names == other.ch_names
        np.testing.assert_array_equal(one.data, other.data)


def test_a_channel_that_one_lacks_is_left_out_for_all_and_named(own, stimuli):
    own["S2"].drop_channels(["Fp2", "O1"])
    result = rerp(with_predictors(own, stimuli, NAMES), n_permutations=20)
    assert result.t_values["surprisal_bits"].shape[0] == 30
    (note,) = [note for note in result.notes if note.startswith("channels left out")]
    assert note.endswith("Fp2 (not in subject 'S2'), O1 (not in subject 'S2')")


def test_a_bad_channel_comes_from_its_neighbours_whatever_it_holds(recorded, own, stimuli):
    own["S3"].info["bads"] = ["Pz"]
    hole(own["S3"], "Pz")
    data = with_predictors(own, stimuli, NAMES)
    assert (
        "bad channels interpolated for averages and regression ERPs: Pz (subject 'S3')" in data.layout.notes
    )
    mended = data.layout.of("S3", own["S3"])
    assert mended.info["bads"] == []
    expected = recorded["S3"].copy()
    expected.info["bads"] = ["Pz"]
    expected.interpolate_bads(verbose="error")
    np.testing.assert_allclose(mended.get_data(), expected.get_data(), atol=5e-7)
    assert np.isfinite(rerp(data, n_permutations=20).t_values["surprisal_bits"]).all()


def test_a_bad_channel_without_a_position_is_left_out(own):
    for epochs in own.values():
        epochs.set_montage(None)
    own["S3"].info["bads"] = ["Pz"]
    layout = common_layout(own)
    assert "Pz" not in layout.channels
    assert layout.notes == ("channels left out of averages and regression ERPs: Pz (bad in S3)",)


def test_an_eye_channel_among_the_eeg_is_left_out(own, stimuli):
    own["S2"].rename_channels({"Fp1": "VEOG"})
    own["S2"].info["chs"][own["S2"].ch_names.index("VEOG")]["loc"][:3] = np.nan
    layout = with_predictors(own, stimuli, NAMES).layout
    assert layout.notes == (
        "channels left out of averages and regression ERPs: Fp1 (not in subject 'S2'), "
        "VEOG (not in subject 'S1', without a position in subject 'S2', not in subject 'S3' and 3 more)",
    )


def test_the_time_that_all_have_is_used_and_said(own, stimuli):
    own["S1"].crop(-0.1, 1.0)
    own["S4"].crop(-0.2, 0.9)
    data = with_predictors(own, stimuli, NAMES)
    low = tercile_averages(data, "surprisal_bits")["low"]
    assert {(round(one.tmin, 3), round(one.tmax, 3)) for one in low} == {(-0.1, 0.9)}
    assert data.layout.notes == (
        "averages and regression ERPs from -100 to 900 ms, which all recordings have",
    )


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda own: own["S4"].resample(25),
            "subject 'S4' has 25 samples a second and subject 'S1' 50; resample",
        ),
        (
            lambda own: hole(own["S5"], "Fp1", 3),
            "subject 'S5': channel Fp1 holds values .* in 1 of 39 epochs",
        ),
        (lambda own: own["S6"].rename_channels(str.lower), "no EEG channel is usable in every recording"),
        (lambda own: own["S2"].crop(-0.2, -0.1) and own["S3"].crop(0, 1), "no time is shared"),
        (
            lambda own: [one.pick(["Cz", "Pz"]) for one in own.values()],
            r"share \(Cz, Pz\) do not span the scalp",
        ),
    ],
)
def test_what_cannot_be_stacked_is_one_line_with_the_subject(own, stimuli, change, line):
    change(own)
    with pytest.raises(DataError, match=line):
        rerp(with_predictors(own, stimuli, NAMES), baseline="none", n_permutations=20)


def test_a_reference_kept_as_a_flat_channel_has_no_effect(recorded, own, stimuli):
    for epochs in own.values():
        epochs.apply_function(lambda x: 0 * x, picks=["Cz"])
    result = rerp(with_predictors(own, stimuli, NAMES), n_permutations=20)
    channel = result.betas["intercept"][0].ch_names.index("Cz")
    assert (result.t_values["surprisal_bits"][channel] == 0).all()
    assert not any("Cz" in names.split() for names in result.clusters["channels"])


def test_of_no_epochs_no_channel_is_known_to_be_flat(recorded):
    silent = recorded["S1"].copy().load_data().apply_function(lambda x: 0 * x, picks=["Cz"])
    assert flat_channels(silent, ["Cz", "Pz"]) == ["Cz"]
    assert flat_channels(silent[:0], ["Cz", "Pz"]) == []
