"""The whole ERP stage: its files, read back."""

import mne
import pytest

from clada_neuro.artifacts import read_json, read_provenance, read_table
from clada_neuro.erp.components import N400
from clada_neuro.erp.measurement import Measurement
from clada_neuro.erp.simulate_eeg import simulate_epochs
from clada_neuro.erp.stage import analyze_epochs


@pytest.fixture(scope="module")
def place(critical_words, tmp_path_factory):
    words = critical_words(40, 2)
    made = simulate_epochs(words, n_subjects=8, seed=2, sfreq=50.0)
    folder = tmp_path_factory.mktemp("run")
    for subject, epochs in made.epochs.items():
        epochs.save(folder / f"sub-{subject}_epo.fif", verbose="error")
    return analyze_epochs(
        folder,
        words,
        folder,
        predictors=["surprisal_bits", "adjustment_prev"],
        measurement=Measurement((N400,)),
        n_permutations=50,
        inputs="abc",
    )


def test_tables_carry_groups_components_and_provenance(place):
    waves = read_table(place / "waveforms.parquet")
    assert set(waves["group"]) == {"low", "middle", "high"}
    assert set(waves["predictor"]) == {"surprisal_bits", "adjustment_prev"}
    assert waves["time_s"].min() == pytest.approx(-0.2)
    assert read_provenance(place / "waveforms.parquet")["inputs"] == "abc"
    assert len(read_table(place / "topographies.parquet")) == 2 * 3 * 32
    assert set(read_table(place / "rerp_waveforms.parquet")["group"]) == {
        "intercept",
        "surprisal_bits",
        "adjustment_prev",
    }
    assert {"b_uv_per_sd", "n_items"} <= set(read_table(place / "by_item.parquet"))
    assert read_table(place / "rejections.parquet")["reason"].unique().tolist() == ["SIMULATED_ARTIFACT"]
    assert read_table(place / "lost.parquet").empty


def test_averages_open_in_mne(place):
    averages = mne.read_evokeds(place / "terciles-surprisal_bits-ave.fif", verbose="error")
    assert [average.comment for average in averages] == ["low", "middle", "high"]
    assert not list(place.glob("*.part*"))


def test_facts_say_what_was_done_and_that_it_is_simulated(place):
    facts = read_json(place / "erp.json")
    assert facts["simulated"] is True
    assert (facts["n_subjects"], facts["n_stimuli"]) == (8, 80)
    assert facts["components"][0]["tmin"] == N400.tmin
    assert "Pz" in facts["components"][0]["channels"]
    assert any("items as fixed" in note for note in facts["notes"])
