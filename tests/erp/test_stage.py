"""The whole ERP stage: its files, read back."""

import mne
import pytest

from clada_neuro.artifacts import read_json, read_provenance, read_table
from clada_neuro.erp.components import N400, P600, Component
from clada_neuro.erp.measurement import Measurement
from clada_neuro.erp.simulate import Effects
from clada_neuro.erp.simulate_eeg import simulate_epochs
from clada_neuro.erp.stage import analyze_epochs
from clada_neuro.measures.tokens import MAIN


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
    by_condition, waves_apart = (
        read_table(place / f"{name}.parquet") for name in ("conditions", "differences")
    )
    assert by_condition["group"].unique().tolist() == ["c0", "c1"]
    assert waves_apart["group"].unique().tolist() == ["c1 − c0"]
    c0, c1 = (by_condition.loc[by_condition["group"] == name, "mean_uv"].to_numpy() for name in ("c0", "c1"))
    assert waves_apart["mean_uv"].to_numpy() == pytest.approx(c1 - c0)
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


def analyze(source, words, folder, **changes):
    options = {"predictors": ["surprisal_bits"], "measurement": Measurement((N400,)), "n_permutations": 20}
    return analyze_epochs(source, words, folder, inputs="abc", **{**options, **changes})


def test_finished_work_is_kept_until_something_it_came_from_changes(critical_words, tmp_path):
    words = critical_words(20, 2)
    made = simulate_epochs(words, n_subjects=3, seed=2, sfreq=50.0)
    for subject, epochs in made.epochs.items():
        epochs.save(tmp_path / f"sub-{subject}_epo.fif", verbose="error")

    def written(**changes) -> int:
        return (analyze(tmp_path, words, tmp_path, **changes) / "rerp_clusters.parquet").stat().st_mtime_ns

    first = written()
    assert written() == first
    second = written(n_permutations=30)
    assert second != first
    assert written(n_permutations=30) == second
    (tmp_path / "erp" / "erp.json").write_text("{")  # as after an interrupt in the middle of writing
    third = written(n_permutations=30)
    assert third != second
    subject, epochs = next(iter(made.epochs.items()))
    epochs[:-1].save(tmp_path / f"sub-{subject}_epo.fif", overwrite=True, verbose="error")
    assert written(n_permutations=30) != third


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        ("covariate", "from -100 to 0 ms: a covariate of the regressions, subtracted from the averages"),
        ("subtract", "from -100 to 0 ms, subtracted from every epoch"),
        ("none", "none, neither subtracted nor a covariate"),
    ],
)
def test_the_baseline_asked_for_is_the_one_used(critical_words, tmp_path, baseline, said):
    words = critical_words(20, 2)
    made = simulate_epochs(words, n_subjects=3, seed=2, sfreq=50.0)
    measurement = Measurement((N400,), baseline, (-0.1, 0.0))
    place = analyze(made.epochs, words, tmp_path, measurement=measurement)
    assert read_json(place / "erp.json")["baseline"].endswith(said)
    waves = read_table(place / "waveforms.parquet")
    before = waves[waves["time_s"].between(-0.101, 0.001)].groupby("group")["mean_uv"].mean()
    assert (before.abs().max() < 1e-6) == (baseline != "none")
    assert all(epochs.baseline is None for epochs in made.epochs.values())  # the caller's stay as they were


def test_what_the_data_do_not_allow_is_noted_and_the_rest_is_written(critical_words, tmp_path):
    """Every word in one carrier phrase, and a model without feed-forward measures."""
    words = critical_words(20, 2).drop(columns="adjustment_prev")
    words["entropy_bits"] = 7.25 + 1e-6 * (words.index % 2)  # one text in two batches
    effects = {"n400_uv": Effects({"surprisal_bits": -1.0})}
    made = simulate_epochs(words, effects=effects, n_subjects=3, seed=2, sfreq=50.0)
    place = analyze(made.epochs, words, tmp_path, predictors=MAIN)
    facts = read_json(place / "erp.json")
    assert facts["notes"][:2] == [
        "entropy_bits has one value in the words of all epochs: left out of averages and regression ERPs",
        "adjustment_prev is missing for the words of all epochs: left out of averages and regression ERPs",
    ]
    assert set(read_table(place / "waveforms.parquet")["predictor"]) == {
        "surprisal_bits",
        "sparsity_energy99",
    }
    assert set(read_table(place / "by_item.parquet")["predictor"]) == {"surprisal_bits", "sparsity_energy99"}


def test_too_few_stimuli_leave_nothing_of_an_earlier_analysis(critical_words, tmp_path):
    words = critical_words(20, 2)
    made = simulate_epochs(words, n_subjects=3, seed=2, sfreq=50.0)
    analyze(made.epochs, words, tmp_path)
    few = {subject: epochs[:1] for subject, epochs in made.epochs.items()}
    place = analyze(few, words, tmp_path, predictors=["surprisal_bits", "sparsity_energy99"])
    facts = read_json(place / "erp.json")
    assert facts["n_permutations"] == 0
    assert [note.split(" left out: ")[0] for note in facts["notes"]] == [
        "averages by surprisal_bits",
        "averages by sparsity_energy99",
        "averages by condition",
        "regression ERPs",
        "by-item check",
    ]
    assert sorted(path.name for path in place.iterdir()) == ["erp.json", "lost.parquet", "rejections.parquet"]


def test_one_subject_without_positions_has_averages(critical_words, tmp_path):
    words = critical_words(20, 2)
    epochs = simulate_epochs(words, n_subjects=1, seed=2, sfreq=50.0).epochs["S1"].set_montage(None)
    place = analyze({"S1": epochs}, words, tmp_path)
    assert "regression ERPs left out: 1 subject arrived" in read_json(place / "erp.json")["notes"][0]
    assert read_table(place / "topographies.parquet")["x"].isna().all()
    assert len(read_table(place / "by_item.parquet")) == 1


def test_electrodes_that_not_all_have_leave_that_components_averages_out(critical_words, tmp_path):
    """Each subject has three electrodes of its own region, but only Cz and Pz are everyone's."""
    words = critical_words(20, 2)
    made = simulate_epochs(words, n_subjects=3, seed=2, sfreq=50.0)
    lacking = {"S1": ["C4", "P3", "P4"], "S2": ["C3", "P3", "P4"], "S3": ["C3", "C4", "P4"]}
    for subject, names in lacking.items():
        made.epochs[subject].drop_channels(names)
    own = Component("own", 0.3, 0.5, ("Cz", "Pz", "C3", "C4", "P3", "P4"), -1, min_channels=3)
    place = analyze(made.epochs, words, tmp_path, measurement=Measurement((own, P600)))
    facts = read_json(place / "erp.json")
    assert "averages of the own left out: component 'own' needs 3 of Cz, Pz" in facts["notes"][0]
    assert [part["name"] for part in facts["components"]] == ["p600"]
    assert facts["components"][0]["channels"] == ["CP1", "CPz", "CP2", "Pz", "PO3", "POz", "PO4"]
    assert set(read_table(place / "waveforms.parquet")["component"]) == {"p600"}
    assert {"own_uv", "p600_uv"} <= set(read_table(place / "by_item.parquet")["where"])
