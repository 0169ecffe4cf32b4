"""Windows and electrodes: what is accepted, what is refused and why."""

import dataclasses

import pytest

from clada_neuro.erp.components import N400, P600, Component, get_component, get_components, soa_warnings
from clada_neuro.errors import DataError


def test_presets_have_the_stated_windows():
    assert (N400.tmin, N400.tmax, N400.sign, N400.column) == (0.3, 0.5, -1, "n400_uv")
    assert (P600.tmin, P600.tmax, P600.sign, P600.baseline_column) == (0.6, 0.9, 1, "p600_baseline_uv")


def test_a_preset_is_found_by_name_and_a_component_passes_through():
    assert get_component("n400") is N400
    own = dataclasses.replace(N400, tmin=0.2, tmax=0.5)
    assert get_component(own) is own


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(
        DataError, match=r"unknown component 'n40' \(did you mean 'n400'\?\); known: n400, p600"
    ):
        get_component("n40")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tmin": 0.5, "tmax": 0.3}, "the window ends at 300 ms, before it starts at 500 ms"),
        ({"tmin": 300, "tmax": 500}, "give seconds, not milliseconds"),
        ({"roi": "Cz"}, "give a tuple of electrodes"),
        ({"roi": ()}, "give a tuple of electrodes"),
        ({"sign": 0}, "give -1 or 1"),
    ],
)
def test_an_impossible_component_is_refused(changes: dict, message: str):
    with pytest.raises(DataError, match=message):
        dataclasses.replace(N400, **changes)


def test_overlapping_windows_are_refused_and_touching_ones_are_not():
    late = Component("late", 0.45, 0.6, ("Cz",), -1)
    with pytest.raises(DataError, match=r"'n400' \(300–500 ms\) and 'late' \(450–600 ms\) overlap"):
        get_components([N400, late])
    assert get_components([N400, dataclasses.replace(late, tmin=0.5)])


def test_two_components_of_one_name_are_refused():
    with pytest.raises(DataError, match="two components are called 'n400'"):
        get_components(["n400", dataclasses.replace(N400, tmin=0.6, tmax=0.7)])


def test_a_window_past_the_next_word_is_said():
    notes = soa_warnings([N400, P600], 0.5)
    assert len(notes) == 1
    assert notes[0].startswith("the p600 window (600–900 ms) reaches past the next word's onset at 500 ms")
    assert soa_warnings([N400, P600], None) == []
