"""`encode --epochs`: voltage that a layer drives from 300 to 500 ms is predicted there and nowhere else, beside its controls."""

import shutil
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
from command_line import clada
from driven_texts import driven_texts

import clada_neuro as cn
from clada_neuro.errors import DataError
from clada_neuro.study.encode import EncodeStage, _usable
from clada_neuro.study.encode_course import TrialsOverTime, scored

N_ITEMS, N_SUBJECTS, SFREQ = 45, 8, 50
TIMES = np.arange(-10, 36) / SFREQ  # -200 to 700 ms


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Return a folder with a run of epochs in which four directions of layer 0 drive two electrodes."""
    folder = tmp_path_factory.mktemp("encode_over_time")
    rng = np.random.default_rng(0)
    stimuli, driven = driven_texts(folder, rng, N_ITEMS)
    bump = np.where((TIMES >= 0.3) & (TIMES < 0.5), 1.0, 0.0)
    metadata = stimuli[["item", "condition"]].assign(word_index=3, word=stimuli["critical_word"])
    (folder / "epochs").mkdir()
    for subject in range(N_SUBJECTS):
        clean = 3 * driven[:, None, None] * bump + rng.normal(0, 3)
        data = np.repeat(clean, 2, axis=1) + rng.normal(0, 3, (len(stimuli), 2, len(TIMES)))
        info = mne.create_info(["Cz", "Pz"], SFREQ, "eeg")
        epochs = mne.EpochsArray(1e-6 * data, info, tmin=TIMES[0], metadata=metadata, verbose="error")
        if subject == 0:
            epochs.drop([0, 5], verbose="error")
        epochs.save(folder / "epochs" / f"sub-p{subject}_epo.fif", verbose="error")
    cn.run(
        folder / "stimuli.csv",
        epochs=folder / "epochs",
        model=str(folder / "model"),
        formula="n400_uv ~ surprisal_bits + (1|subject) + (1|item)",
        roi={"n400": ["Cz", "Pz"]},
        device="cpu",
        out=folder / "run",
        jobs=1,
    )
    return folder


def test_the_moments_that_a_layer_drives_are_found_beside_the_controls(study, capsys):
    cn.encode(study / "run", shuffles=39, epochs=study / "epochs", step_ms=40)
    table = pd.read_csv(study / "run" / "tables" / "encoding_over_time.csv")
    chosen = table[table["layer"] == "chosen"].set_index("vectors")
    states = chosen.loc["states"].set_index("time_ms")
    assert states.index.tolist() == [-180 + 40 * n for n in range(23)]
    within, before = states.loc[320:480], states.loc[:-20]
    assert within["r"].min() > 0.6
    assert (within["p_family"] == 1 / 40).all()
    assert before["p_family"].min() > 0.05
    assert (within["ceiling"] > within["r"] - 0.1).all()
    for control in ("next word", "covariates"):
        assert chosen.loc[control].set_index("time_ms").loc[320:480, "r"].max() < within["r"].min() - 0.2
    by_layer = table[(table["vectors"] == "states") & (table["time_ms"] == 420)].set_index("layer")
    assert by_layer.loc["0", "r"] > by_layer.loc["1", "r"]
    assert by_layer.loc["0", "p_family"] == 1 / 40
    page = cn.report(study / "run").read_text(encoding="utf-8")
    assert "n400 over time" in page
    assert "shuffled items" in (study / "run" / "figures" / "encoding_over_time_n400.svg").read_text(
        encoding="utf-8"
    )
    done = clada(
        capsys, "encode", study / "run", "--shuffles", 39, "--epochs", study / "epochs", "--step", 40
    )
    assert done.code == 0, done.err
    assert done.out.rstrip().endswith("encoding_over_time.csv")


def test_counts_and_ceiling_are_of_the_words_that_are_predicted():
    rng = np.random.default_rng(1)
    words = pd.DataFrame({"stimulus_id": [f"t{n}" for n in range(20)], "word_index": 3})
    trials = pd.concat([words.assign(item=words.index, subject=f"s{k}") for k in range(6)], ignore_index=True)
    driven = rng.normal(size=20)
    values = driven[np.tile(np.arange(20), 6)][:, None] + rng.normal(0, 0.5, (120, 2))
    taken = TrialsOverTime(["n400"], ("Cz",), values, np.array([100.0, 200.0]), 100.0, "none")
    vectors = {("states", 0): np.column_stack([driven, rng.normal(size=20)])}
    whole = scored(taken, trials, words, vectors, folds=3, shuffles=19, seed=0)
    assert (whole["n_words"], whole["n_trials"], whole["notes"]) == (20, 120, [])
    values[np.tile(np.arange(20), 6) == 7] = 1e3 * rng.normal(size=(6, 2))  # of a word that has no vector
    vectors["states", 0][7] = np.nan
    found = scored(taken, trials, words, vectors, folds=3, shuffles=19, seed=0)
    assert (found["n_words"], found["n_items"], found["n_trials"]) == (19, 19, 114)
    assert found["notes"] == ["1 of 20 words lack an epoch or a vector of some kind"]
    assert min(found["ceiling"]) > 0.9


def test_kinds_that_few_words_have_are_left_out_but_not_the_states():
    some, most = np.ones((20, 2)), np.ones((20, 2))
    some[:3] = np.nan
    kept, notes = _usable({("states", 0): most, ("next word", 0): some}, "")
    assert list(kept) == [("states", 0)]
    assert notes == ["next word is left out: 85% of the words have it, 90% needed"]
    with pytest.raises(DataError, match="85% of the words have states of the model, 90% needed"):
        _usable({("states", 0): some}, "")


def test_epochs_that_are_not_the_runs_are_told_before_the_work(study, tmp_path, monkeypatch):
    monkeypatch.setattr(EncodeStage, "_vectors", None)  # said before they are taken
    with pytest.raises(DataError, match="do not exist"):
        cn.encode(study / "run", epochs=tmp_path / "none")
    with pytest.raises(DataError, match=r"a step of 5 ms given, but the samples are 20 ms apart"):
        cn.encode(study / "run", epochs=study / "epochs", step_ms=5)
    other = mne.read_epochs(study / "epochs" / "sub-p1_epo.fif", verbose="error")
    other.save(tmp_path / "sub-q1_epo.fif", verbose="error")
    with pytest.raises(DataError, match="no trial of the run has an epoch here"):
        cn.encode(study / "run", epochs=tmp_path)
    other.rename_channels({"Cz": "C9"}).save(tmp_path / "sub-q1_epo.fif", verbose="error", overwrite=True)
    with pytest.raises(DataError, match="have no channel 'Cz'"):
        cn.encode(study / "run", epochs=tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(study / "run", copy, ignore=shutil.ignore_patterns("erp"))
    with pytest.raises(DataError, match="is no run of epochs; --epochs is for those of"):
        cn.encode(copy, epochs=study / "epochs")
