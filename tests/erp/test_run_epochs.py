"""From a stimulus file and a folder of epochs to the report, on the embedded model."""

import mne
import pandas as pd
import pytest

from clada_neuro import artifacts
from clada_neuro.erp.simulate_eeg import simulate_epochs
from clada_neuro.errors import AlignmentError
from clada_neuro.instrument.trace import trace
from clada_neuro.stimuli.formats import read_stimuli
from clada_neuro.study.run import run


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """Twenty items of the shipped set, and ten simulated subjects whose metadata name item, condition and word."""
    folder = tmp_path_factory.mktemp("epochs_run")
    stimuli = read_stimuli(artifacts.package_data("stimuli", "n400_demo.csv")).head(60)
    stimuli.drop(columns="stimulus_id").to_csv(folder / "stimuli.csv", index=False)
    words = trace(stimuli, progress=False).words
    made = simulate_epochs(words[words["is_critical"]], n_subjects=10, seed=1, sfreq=50.0)
    (folder / "eeg").mkdir()
    for subject, epochs in made.epochs.items():
        epochs.metadata = epochs.metadata[["item", "condition", "word_index", "word", "simulated"]]
        epochs.save(folder / "eeg" / f"sub-{subject}_epo.fif", verbose="error")
    return folder


@pytest.mark.slow
def test_epochs_go_all_the_way_to_the_report(material):
    out = material / "out"
    run(material / "stimuli.csv", epochs=material / "eeg", component="n400", out=out)
    manifest = artifacts.read_json(out / "manifest.json")
    assert manifest["simulated"] is True
    assert manifest["joins"][0]["rows_before"] == 200
    fitted = artifacts.read_json(out / "fits.json")[0]
    assert "n400_baseline_uv" in fitted["coefficients"]
    assert fitted["coefficients"]["surprisal_bits"]["estimate"] < 0
    assert set(artifacts.read_table(out / "erp" / "waveforms.parquet")["component"]) == {"n400"}
    assert "<title>Simulated data" in (out / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_metadata_that_count_words_from_one_give_the_same_trials(material, tmp_path):
    shifted = tmp_path / "eeg"
    shifted.mkdir()
    for path in sorted((material / "eeg").glob("*_epo.fif")):
        epochs = mne.read_epochs(path, verbose="error")
        epochs.metadata = epochs.metadata.assign(word_index=epochs.metadata["word_index"] + 1)
        epochs.save(shifted / path.name, verbose="error")
    options = {"component": "n400", "out": tmp_path / "out"}
    with pytest.raises(AlignmentError, match="--trial-index-base 1"):
        run(material / "stimuli.csv", epochs=shifted, **options)
    run(material / "stimuli.csv", epochs=shifted, trial_index_base=1, **options)
    trials = artifacts.read_table(tmp_path / "out" / "trials.parquet")
    run(material / "stimuli.csv", epochs=material / "eeg", **options)
    expected = artifacts.read_table(tmp_path / "out" / "trials.parquet")
    columns = ["subject", "word", "word_index", "surprisal_bits", "n400_uv"]
    pd.testing.assert_frame_equal(trials[columns], expected[columns])


@pytest.mark.slow
def test_measurement_options_reach_the_tables_and_a_rerun_keeps_the_regression_erps(material):
    out = material / "subtracted"
    options = {"component": "n400", "window_ms": {"": (250, 450)}, "roi": {"n400": ("Cz", "Pz")}}
    options |= {"baseline": "subtract", "soa_ms": 400.0, "epochs": material / "eeg", "out": out}
    run(material / "stimuli.csv", **options)
    trials = artifacts.read_table(out / "trials.parquet")
    assert "n400_baseline_uv" not in trials
    assert {"surprisal_bits_lag1", "surprisal_bits_next"} <= set(trials)
    notes = artifacts.read_json(out / "manifest.json")["erp"]["notes"]
    assert "n400: mean of Cz, Pz, 250–450 ms" in notes
    assert any(
        note.startswith("the n400 window (250–450 ms) reaches past the next word's onset at 400 ms")
        for note in notes
    )
    facts = artifacts.read_json(out / "erp" / "erp.json")
    assert facts["baseline"] == "each electrode's mean before onset, subtracted from every epoch"
    assert facts["components"][0]["channels"] == ["Cz", "Pz"]
    before = (out / "erp" / "rerp_clusters.parquet").stat().st_mtime_ns
    run(material / "stimuli.csv", **options)
    assert (out / "erp" / "rerp_clusters.parquet").stat().st_mtime_ns == before


@pytest.mark.slow
def test_the_first_items_alone_leave_the_others_epochs_out_and_counted(material, tmp_path):
    run(material / "stimuli.csv", epochs=material / "eeg", component="n400", limit=15, out=tmp_path)
    manifest = artifacts.read_json(tmp_path / "manifest.json")
    (aside,) = [step for step in manifest["joins"] if step["step"] == "limit"]
    assert aside["reason"] == "only the first 15 items were asked for"
    trials = artifacts.read_table(tmp_path / "trials.parquet")
    assert (trials["item"].nunique(), len(trials)) == (15, aside["rows_after"])
    assert aside["rows_before"] == 190  # of 200, 10 were rejected before
