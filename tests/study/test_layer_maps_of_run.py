"""`depth --epochs` on a run of the embedded model whose epochs have an effect of one layer's measure."""

import shutil
from pathlib import Path

import mne
import pandas as pd
import pytest
from command_line import clada

from clada_neuro import artifacts
from clada_neuro.erp.layers.columns import layer_columns
from clada_neuro.erp.simulate_layers import simulate_layers
from clada_neuro.errors import CladaNeuroError, DataError
from clada_neuro.records.layer_maps import LayerMapsRecord
from clada_neuro.reporting.build import report
from clada_neuro.study.layer_maps import layer_maps
from clada_neuro.study.run import run

MEASURE = "lens_surprisal_bits"
FEW = {"n_permutations": 50, "n_bootstrap": 50}


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("layer_maps")
    formula = ["n400_uv ~ surprisal_bits + (1|subject) + (1|item) + (1|stimulus)"]
    run("demo", out=folder / "run", limit=16, layers="2,9,16,29", formula=formula, jobs=1)
    words = artifacts.read_table(folder / "run" / "words.parquet")
    words = words[words["is_critical"].fillna(False).astype(bool)].reset_index(drop=True)
    stimuli = artifacts.read_table(folder / "run" / "stimuli.parquet")
    if "item" not in words:
        words = words.merge(stimuli[["stimulus_id", "item"]], on="stimulus_id")
    by_layer = artifacts.read_table(folder / "run" / "word_layers.parquet")
    columns = layer_columns(words, by_layer, MEASURE)
    epochs = simulate_layers(
        columns.words,
        {columns.names[16]: 0.4},
        effect_uv=-4.0,
        n_subjects=6,
        stimulus_sd=0.5,
        sfreq=50,
        noise_uv=5.0,
    )
    (folder / "epochs").mkdir()
    for name, part in epochs.items():
        part.save(folder / "epochs" / f"sub-{name}_epo.fif", verbose="error")
    return folder


@pytest.fixture(scope="module")
def made(study) -> Path:
    return layer_maps(study / "run", study / "epochs", **FEW)


def test_the_layer_is_found_and_every_file_is_there(made):
    found = LayerMapsRecord.read(made / "layer_maps.json")
    (one,) = found.measures
    assert one.layers == [2, 9, 16, 29]
    assert (one.n_subjects, one.n_lost, one.n_epochs) == (6, 0, 6 * one.n_stimuli)
    assert found.simulated
    latency = next(row for row in one.latencies if row.layer == 16)
    assert latency.found
    assert latency.peak_ms == pytest.approx(400, abs=50)
    assert any(
        cluster.p_both < 0.05 and cluster.layer_first <= 16 <= cluster.layer_last for cluster in one.roi
    )
    planes = artifacts.read_table(made / "planes.parquet")
    strongest = planes.loc[planes["t"].abs().idxmax()]
    assert strongest["layer"] == 16
    assert len(artifacts.read_table(made / "electrodes.parquet")) == 32 * len(planes)
    assert set(artifacts.read_table(made / "clusters.parquet")["where"]) == {"mean", "every electrode"}


def test_the_same_call_finds_what_stands_there(study, made, monkeypatch):
    before = {path.name: path.read_bytes() for path in made.iterdir() if path.is_file()}
    monkeypatch.setattr("clada_neuro.erp.layers.stage.planes", None)
    layer_maps(study / "run", study / "epochs", **FEW)
    assert {path.name: path.read_bytes() for path in made.iterdir() if path.is_file()} == before


def test_the_report_has_a_section_a_figure_and_a_methods_sentence(study, made):
    page = report(study / "run")
    text = (study / "run" / "report.md").read_text(encoding="utf-8")
    assert "Layers in time" in page.read_text(encoding="utf-8")
    assert "To ask when each layer speaks to the responses" in text
    assert "Maris & Oostenveld" in text
    for name in ("layer_maps_lens_surprisal_bits", "layer_maps_lens_surprisal_bits_scalp"):
        assert (study / "run" / "figures" / f"{name}.png").is_file()
    clusters = pd.read_csv(study / "run" / "tables" / "layer_maps_lens_surprisal_bits_clusters.csv")
    assert {"p", "p_both", "layer_first"} <= set(clusters)


def test_the_command_line(study, made, capsys):
    call = ("depth", study / "run", "--replicates", "19", "--measure", MEASURE, "--jobs", "1")
    done = clada(
        capsys,
        *call,
        "--epochs",
        study / "epochs",
        "--permutations",
        "50",
        "--until",
        "800",
        "--roi",
        "Cz, Pz",
    )
    assert done.code == 0, done.complaint
    assert "maps over layers and time" in done.out
    found = LayerMapsRecord.read(made / "layer_maps.json")
    assert found.channels == ["Cz", "Pz"]
    assert found.to_ms <= 800
    for alone in (("--roi", "Cz"), ("--permutations", "50"), ("--trial-index-base", "1")):
        done = clada(capsys, *call, *alone)
        assert done.code == 2
        assert f"{alone[0]} is of maps over time; give --epochs" in done.complaint
    done = clada(capsys, *call, "--epochs", study / "nowhere.fif")
    assert done.code == 2
    assert "nowhere.fif' do not exist" in done.complaint


def test_epochs_whose_words_count_from_one_and_a_trace_without_models(study, made, tmp_path, capsys):
    """With the base said, the maps are those of the same words; a trace has no models for `depth`."""
    for name in (
        "manifest.json",
        "stimuli.parquet",
        "words.parquet",
        "tokens.parquet",
        "word_layers.parquet",
    ):
        shutil.copy(study / "run" / name, tmp_path)
    (tmp_path / "epochs").mkdir()
    for file in (study / "epochs").iterdir():
        epochs = mne.read_epochs(file, verbose="error")
        labels = epochs.metadata[["stimulus_id", "word_index"]]
        epochs.metadata = labels.assign(word_index=labels["word_index"] + 1)
        epochs.save(tmp_path / "epochs" / file.name, verbose="error")
    layer_maps(study / "run", study / "epochs", **FEW)
    few = ("--permutations", "50", "--trial-index-base", "1")
    done = clada(capsys, "depth", tmp_path, "--epochs", tmp_path / "epochs", *few)
    assert done.code == 0, done.complaint
    ours, theirs = (artifacts.read_table(at / "electrodes.parquet") for at in (tmp_path / "layer_maps", made))
    pd.testing.assert_frame_equal(ours, theirs, check_exact=False, atol=1e-6)


def test_maps_of_another_trace_are_not_shown(study, made):
    place = made / "layer_maps.json"
    kept = place.read_bytes()
    artifacts.write_json(place, artifacts.read_json(place) | {"trace": "another"})
    report(study / "run")
    text = (study / "run" / "report.md").read_text(encoding="utf-8")
    place.write_bytes(kept)
    assert "of the words of another trace" in text
    assert "To ask when each layer speaks" not in text


def test_bad_input_is_one_line(study, tmp_path):
    with pytest.raises(DataError, match=r"epochs '.*nowhere' do not exist"):
        layer_maps(study / "run", tmp_path / "nowhere")
    with pytest.raises(DataError, match="is not a folder"):
        layer_maps(tmp_path / "nothing", study / "epochs")
    with pytest.raises(CladaNeuroError, match=r"'lens_surprisal' .did you mean"):
        layer_maps(study / "run", study / "epochs", measures=["lens_surprisal"], **FEW)
    with pytest.raises(CladaNeuroError, match="XX"):
        layer_maps(study / "run", study / "epochs", roi=["XX"], **FEW)
    with pytest.raises(CladaNeuroError, match="no column 'lenght'"):
        layer_maps(study / "run", study / "epochs", controls=["lenght"], **FEW)
