"""From a stimulus file and a folder of epochs to the report, on the embedded model."""

import pytest

from clada_neuro import artifacts
from clada_neuro.erp.simulate_eeg import simulate_epochs
from clada_neuro.instrument.trace import trace
from clada_neuro.stimuli.formats import read_stimuli
from clada_neuro.study import run


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
