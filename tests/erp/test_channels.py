"""Electrodes found by name, alias and position; caps with known answers serve as reference."""

import dataclasses

import mne
import pytest

from clada_neuro.erp.channels import canonical, find_roi
from clada_neuro.erp.components import N400, P600
from clada_neuro.errors import DataError


def cap(names: list[str], montage: str | None = None) -> mne.Info:
    info = mne.create_info(names, 250.0, "eeg")
    if montage:
        info.set_montage(montage)
    return info


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Cz", "cz"),
        ("CZ", "cz"),
        ("EEG Cz-REF", "cz"),
        ("Cz..", "cz"),
        ("T3", "t7"),
        ("t6", "p8"),
        (" Pz ", "pz"),
        ("C3-A2", "c3"),
        ("EEG C4-M1", "c4"),
        ("A1", "a1"),
    ],
)
def test_names_of_amplifiers_and_of_the_older_system_are_understood(name: str, expected: str):
    assert canonical(name) == expected


def test_a_plain_1020_cap_serves_both_presets():
    info = cap(
        [
            "FP1",
            "FP2",
            "F7",
            "F3",
            "FZ",
            "F4",
            "F8",
            "T3",
            "C3",
            "CZ",
            "C4",
            "T4",
            "T5",
            "P3",
            "PZ",
            "P4",
            "T6",
            "O1",
            "O2",
        ]
    )
    assert find_roi(info, N400).channels == ("C3", "CZ", "C4", "P3", "PZ", "P4")
    assert find_roi(info, P600).channels == ("P3", "PZ", "P4")


def test_alias_electrodes_of_a_custom_region_are_found():
    own = dataclasses.replace(N400, roi=("T7", "P7"), min_channels=None)
    assert find_roi(cap(["T3", "T5", "Cz"]), own).channels == ("T3", "T5")


def test_a_missing_electrode_of_a_custom_region_is_an_error():
    own = dataclasses.replace(N400, roi=("Cz", "Pz"), min_channels=None)
    with pytest.raises(DataError, match="needs 2 of Cz, Pz, but the recording has Cz, Fz"):
        find_roi(cap(["Cz", "Fz"]), own)


def test_too_few_electrodes_for_a_preset_is_an_error():
    with pytest.raises(DataError, match="component 'p600' needs 3 of"):
        find_roi(cap(["Fz", "Cz", "Pz", "P3"]), P600)


def test_bad_channels_are_left_out_and_said():
    info = cap(["Cz", "C3", "C4", "Pz", "P3"])
    info["bads"] = ["C3"]
    roi = find_roi(info, N400)
    assert "C3" not in roi.channels
    assert roi.notes == ("n400: bad channels left out: C3",)


def test_bad_channels_may_leave_too_few():
    info = cap(["Cz", "C3", "C4"])
    info["bads"] = ["C3"]
    with pytest.raises(DataError, match=r"\(C3 marked bad\)"):
        find_roi(info, N400)


def test_foreign_names_are_matched_by_position_and_said():
    info = cap(["Fz", "Cz", "Pz", "C3", "C4", "P3", "P4", "Oz"], "colin27_1020")
    mne.rename_channels(info, lambda name: f"X-{name}-1")
    own = dataclasses.replace(N400, roi=("Cz", "P3"), min_channels=None)
    roi = find_roi(info, own)
    assert roi.channels == ("X-Cz-1", "X-P3-1")
    assert roi.notes == ("n400: electrodes matched by position: X-Cz-1 as Cz, X-P3-1 as P3",)


def test_one_reference_in_every_name_is_no_derivation():
    info = cap([f"EEG {name}-CPz" for name in ("Fz", "Cz", "Pz", "P3", "P4", "T5")])
    roi = find_roi(info, N400)
    assert roi.channels == ("EEG Cz-CPz", "EEG P3-CPz", "EEG Pz-CPz", "EEG P4-CPz")
    assert roi.notes == ("channels named as electrode-cpz are read as referenced to it",)


def test_derivations_between_two_electrodes_are_no_electrodes():
    info = cap(["EEG Fz-Cz", "EEG Cz-CPz", "EEG P3-P4", "EEG Pz-Oz", "EEG C3-C4"])
    with pytest.raises(
        DataError, match=r"EEG Fz-Cz is the difference of two electrodes \(bipolar\).*re-reference"
    ):
        find_roi(info, N400)
    own = dataclasses.replace(N400, roi=("EEG Cz-CPz",), min_channels=None)
    assert find_roi(info, own).channels == ("EEG Cz-CPz",)


def test_a_derivation_beside_electrodes_does_not_stand_for_one():
    info = cap(["Cz", "C3", "C4", "Pz-Oz", "P3"])
    assert find_roi(info, N400).channels == ("C3", "Cz", "C4", "P3")


def test_an_electrode_nowhere_near_is_not_matched_by_position():
    info = cap(["Fp1", "Fpz", "Fp2", "AF3", "AF4"], "colin27_1020")
    mne.rename_channels(info, lambda name: f"X-{name}-1")
    with pytest.raises(DataError, match="set a montage"):
        find_roi(info, dataclasses.replace(N400, roi=("Pz",), min_channels=None))


def test_egi_names_are_matched_by_position():
    """The net's maker gives E62 for Pz, E36 for C3 and E104 for C4."""
    montage = mne.channels.make_standard_montage("GSN-HydroCel-128")
    own = dataclasses.replace(N400, roi=("C3", "C4", "Pz"), min_channels=None)
    assert find_roi(cap(montage.ch_names, "GSN-HydroCel-128"), own).channels == ("E36", "E104", "E62")


def test_unknown_names_without_positions_are_an_error():
    with pytest.raises(DataError, match="rename channels, set a montage"):
        find_roi(cap([f"X{i}" for i in range(20)]), N400)


def test_a_recording_without_eeg_is_an_error():
    with pytest.raises(DataError, match="no EEG channels among MEG1"):
        find_roi(mne.create_info(["MEG1"], 250.0, "mag"), N400)
