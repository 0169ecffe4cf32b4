"""Averages: hand-computed differences, pairing, and the two public files of subject averages."""

import os
from pathlib import Path

import mne
import numpy as np
import pytest
from scipy import stats

from clada_neuro.erp.components import Component
from clada_neuro.erp.evoked import (
    amplitudes,
    differences,
    grand_averages,
    paired_difference,
    read_evokeds,
    topographies,
    waveforms,
)
from clada_neuro.errors import AlignmentError, DataError

VERTEX = Component("vertex", 0.1, 0.2, ("Cz", "Pz"), 1)


def flat(level_uv: float, his_id: str | None = None) -> mne.EvokedArray:
    """An average that is constant: ``level_uv`` at Cz, twice that at Pz, four times at C3 and C4."""
    info = mne.create_info(["Cz", "Pz", "C3", "C4"], 100.0, "eeg")
    info.set_montage("colin27_1020")
    if his_id:
        info["subject_info"] = {"his_id": his_id}
    data = 1e-6 * level_uv * np.array([1, 2, 4, 4])[:, None] * np.ones((4, 41))
    return mne.EvokedArray(data + 1e-7 * np.sin(np.arange(41)), info, tmin=-0.1, nave=30)


def test_amplitudes_are_microvolts_of_window_and_electrodes():
    found = amplitudes([flat(2.0), flat(4.0)], VERTEX)
    np.testing.assert_allclose(found, [3.0, 6.0], atol=0.05)


def test_the_difference_equals_scipys_paired_test():
    first, second = [2.0, 3.0, 5.0, 4.0], [1.0, 2.5, 3.0, 3.5]
    result = paired_difference(
        {"a": list(map(flat, first)), "b": list(map(flat, second))}, VERTEX, in_order=True
    )
    expected = stats.ttest_1samp(1.5 * (np.array(first) - second), 0)
    assert result.mean_uv == pytest.approx(1.5)
    assert (result.t, result.p, result.df) == pytest.approx((expected.statistic, expected.pvalue, 3))
    assert result.ci_low < 1.5 < result.ci_high
    assert "vertex, a − b: 1.50 µV" in repr(result)
    assert result.amplitudes["difference_uv"].tolist() == pytest.approx([1.5, 0.75, 3.0, 0.75])


def test_subjects_with_names_are_paired_by_name():
    first = [flat(2, "x"), flat(5, "y"), flat(3, "z")]
    second = [flat(4, "y"), flat(2.5, "z"), flat(1, "x")]
    result = paired_difference({"a": first, "b": second}, VERTEX)
    assert result.amplitudes["subject"].tolist() == ["x", "y", "z"]
    assert result.amplitudes["difference_uv"].tolist() == pytest.approx([1.5, 1.5, 0.75])
    assert "subjects paired by name" in result.notes


def test_an_order_that_contradicts_the_names_there_are_is_refused():
    first, second = [flat(2, "x"), flat(5)], [flat(4, "y"), flat(1)]
    with pytest.raises(AlignmentError, match="average 1 is of subject x in 'a' and of y in 'b'"):
        paired_difference({"a": first, "b": second}, VERTEX)
    result = paired_difference(
        {"a": [flat(2, "x"), flat(5)], "b": [flat(1, "x"), flat(3)]}, VERTEX, in_order=True
    )
    assert "which do not give each a name of its own" in result.notes[-1]


def test_subjects_in_only_one_condition_are_named():
    with pytest.raises(AlignmentError, match="subjects y, z are in only one of 'a' and 'b'"):
        paired_difference({"a": [flat(2, "x"), flat(5, "y")], "b": [flat(4, "x"), flat(2, "z")]}, VERTEX)


def test_averages_without_names_are_not_paired_unless_told():
    groups = {"a": [flat(2), flat(5)], "b": [flat(4), flat(1)]}
    for call in (lambda: paired_difference(groups, VERTEX), lambda: differences(groups)):
        with pytest.raises(AlignmentError, match="say so with --in-order"):
            call()


def test_unequal_numbers_without_names_are_refused():
    with pytest.raises(AlignmentError, match="'a' has 2 averages and 'b' 1, without subject ids"):
        paired_difference({"a": [flat(2), flat(5)], "b": [flat(4)]}, VERTEX)


def test_a_difference_needs_two_conditions():
    with pytest.raises(DataError, match=r"1 conditions arrived \(a\)"):
        paired_difference({"a": [flat(2)]}, VERTEX)


def test_a_window_outside_the_average_is_refused():
    late = Component("late", 0.2, 0.6, ("Cz",), 1)
    with pytest.raises(DataError, match=r"late window \(200–600 ms\) lies outside the average"):
        amplitudes([flat(1)], late)


def test_waveforms_hold_means_and_t_intervals_over_subjects():
    table = waveforms({"a": [flat(1), flat(2), flat(3)]}, VERTEX)
    row = table.iloc[20]
    assert row["time_s"] == pytest.approx(0.1)
    low, high = stats.t.interval(0.95, 2, 3.0, 1.5 / np.sqrt(3))
    assert (row["mean_uv"], row["ci_low"], row["ci_high"]) == pytest.approx((3.0, low, high), abs=0.1)
    assert set(table["n_subjects"]) == {3}


def test_topographies_place_electrodes_in_the_head():
    table = topographies({"a": [flat(1), flat(3)]}, VERTEX).set_index("channel")
    assert table.loc["Pz", "amplitude_uv"] == pytest.approx(4, abs=0.1)
    assert table.loc["C3", "x"] < -0.2
    assert table.loc["C4", "x"] > 0.2
    assert table.loc["Pz", "y"] < table.loc["Cz", "y"]


def test_grand_averages_weight_subjects_equally():
    average = grand_averages({"a": [flat(1), flat(3)]})["a"]
    assert average.comment == "a"
    assert average.get_data("Cz").mean() * 1e6 == pytest.approx(2, abs=0.05)


def test_averages_that_cannot_be_stacked_are_named():
    lacking = flat(2).drop_channels(["Pz"])
    with pytest.raises(AlignmentError, match=r"average 1 of 'a' and average 2 of 'a' differ in channel Pz"):
        grand_averages({"a": [flat(1), lacking]})
    with pytest.raises(
        AlignmentError, match=r"subject '1' in 'a' and subject '1' in 'b' differ in channel Pz"
    ):
        differences({"a": [flat(1)], "b": [lacking]}, in_order=True)
    with pytest.raises(
        AlignmentError, match=r"average 2 of 'a' \(-100 to 200 ms, 31 samples\) differ in time"
    ):
        waveforms({"a": [flat(1), flat(1).crop(-0.1, 0.2)]}, VERTEX)


def test_averages_are_stacked_by_name_and_a_bad_channel_stays_bad():
    turned = flat(3)
    turned.data[turned.ch_names.index("Cz")] += 1e-6
    turned.reorder_channels(turned.ch_names[::-1])
    turned.info["bads"] = ["Pz"]
    turned.data[turned.ch_names.index("Pz")] = np.nan
    average = grand_averages({"a": [flat(1), turned]})["a"]
    assert average.get_data("Cz").mean() * 1e6 == pytest.approx(2.5, abs=0.05)
    assert average.info["bads"] == ["Pz"]
    assert "Pz" not in topographies({"a": [flat(1), turned]}, VERTEX)["channel"].tolist()


def test_files_that_are_missing_or_of_another_kind_are_named(tmp_path, simulated):
    with pytest.raises(DataError, match="does not exist"):
        read_evokeds(tmp_path / "none-ave.fif")
    simulated.epochs["S01"].save(tmp_path / "x-epo.fif", verbose="error")
    with pytest.raises(DataError, match="holds no averages"):
        read_evokeds(tmp_path / "x-epo.fif")
    (tmp_path / "y-ave.fif").write_bytes(b"no FIF file at all")
    with pytest.raises(DataError, match="holds no readable averages"):
        read_evokeds(tmp_path / "y-ave.fif")


def test_microvolts_in_a_file_are_refused(tmp_path):
    wrong = flat(1)
    wrong.data *= 1e6
    wrong.save(tmp_path / "x-ave.fif", verbose="error")
    with pytest.raises(DataError, match="looks like µV"):
        read_evokeds(tmp_path / "x-ave.fif")


def swedish() -> Path:
    for folder in filter(None, os.environ.get("CLADA_NEURO_DATA", "").split(os.pathsep)):
        if (Path(folder) / "swop_sv").is_dir():
            return Path(folder) / "swop_sv"
    pytest.skip("CLADA_NEURO_DATA names no folder with swop_sv")


def test_the_swedish_word_order_violation_has_a_p600():
    """20 speakers, V3 against V2: a positivity of about a microvolt, as the authors report, and no N400."""
    folder = swedish()
    groups = {order: read_evokeds(folder / f"SWOP_regrBsln_{order}_idag-evo.fif") for order in ("V3", "V2")}
    p600 = paired_difference(groups, "p600", in_order=True)
    assert p600.n == 20
    # By hand: mean of CP3, CP4, P3, Pz, P4 from 600 to 900 ms, and scipy's one-sample test.
    assert (p600.mean_uv, p600.t) == pytest.approx((1.2413, 3.6957), abs=1e-3)
    assert p600.p == pytest.approx(0.00153, abs=1e-4)
    assert 0 < p600.ci_low < p600.ci_high
    assert "subjects paired by their order in the files, which name none" in p600.notes
    assert paired_difference(groups, "n400", in_order=True).mean_uv < 0
