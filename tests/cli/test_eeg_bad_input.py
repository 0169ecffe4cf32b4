"""What is wrong with continuous EEG is one line, and finished subjects stay."""

from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from clada_neuro import artifacts
from clada_neuro.cli.main import cli
from clada_neuro.erp.simulate_raw import simulate_reading
from clada_neuro.errors import CladaNeuroError

N = 60


@pytest.fixture(scope="module")
def words() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "stimulus_id": [f"t{k // 6}" for k in range(N)], "item": [f"i{k // 6}" for k in range(N)],
            "word_index": np.arange(N) % 6, "word": [f"w{k}" for k in range(N)],
            "surprisal_bits": np.random.default_rng(8).gamma(3, 2, N),
        }
    )  # fmt: skip


def reader(words: pd.DataFrame, seed: int, soa: float | tuple[float, float] = (0.3, 0.6)) -> mne.io.BaseRaw:
    made = simulate_reading(words, soa=soa, seed=seed, sfreq=50.0)
    codes = [f"Stimulus/S {1 + k % 6}" for k in range(N)]
    return made.raw.set_annotations(mne.Annotations(made.events["onset"], 0.0, codes))


def no_triggers(raw):
    return raw.set_annotations(None)


def other_codes(raw):
    return raw.set_annotations(mne.Annotations(raw.annotations.onset, 0.0, "Stimulus/S 99"))


def drifting(raw):
    return raw.set_annotations(
        mne.Annotations(1.08 * raw.annotations.onset - 0.1, 0.0, raw.annotations.description)
    )


def flat(raw):
    raw._data[raw.ch_names.index("Cz")] = 1e-6
    return raw


def holes(raw):
    raw._data[raw.ch_names.index("Pz"), 600:] = np.nan
    return raw


def whole(raw):
    return raw


def microvolts(raw):
    return mne.io.RawArray(1e6 * raw.get_data(), raw.info, verbose="error").set_annotations(raw.annotations)


def twice_as_fast(raw):
    return raw.resample(100.0, verbose="error")


@pytest.mark.parametrize(
    ("spoil", "options", "message", "kept"),
    [
        (no_triggers, (), "has no triggers", False),
        (other_codes, (), "subject '2'", False),
        (drifting, ("--soa", "500"), "differ from the stated 500 ms", False),
        (whole, ("--formula", "1 + surprisal_bits + I(2 * surprisal_bits)"), "is a linear combination of the other predictors", False),
        (flat, (), "subject '2': channel Cz is flat", True),
        (holes, (), "subject '2': channel Pz is not finite in", True),
        (microvolts, (), "which looks like µV; MNE holds volts", True),
        (twice_as_fast, (), "has 100 samples a second and subject '1', sub-1_raw.fif 50; resample all", False),
    ],
    ids=["no triggers", "other codes", "drifting clock", "dependent predictors", "flat", "holes", "microvolts", "rates"],
)  # fmt: skip
def test_one_line_and_finished_subjects_stay(words, tmp_path, spoil, options, message, kept):
    soa = 0.5 if "--soa" in options else (0.3, 0.6)
    artifacts.write_table(words, tmp_path / "words.parquet")
    presented = words[["stimulus_id", "word_index", "word"]].assign(trigger=1 + np.arange(N) % 6)
    presented.to_csv(tmp_path / "presented.csv", index=False)
    (tmp_path / "eeg").mkdir()
    for number, change in ((1, whole), (2, spoil)):
        change(reader(words, number, soa)).save(tmp_path / "eeg" / f"sub-{number}_raw.fif", verbose="error")
    given = [
        "overlap",
        tmp_path / "words.parquet",
        "--eeg",
        tmp_path / "eeg",
        "--triggers",
        tmp_path / "presented.csv",
    ]
    done = CliRunner().invoke(
        cli, [*map(str, [*given, "--out", tmp_path / "out"]), "--permutations", "16", *options]
    )
    assert isinstance(done.exception, CladaNeuroError), done.output
    said = str(done.exception)
    assert message in said
    assert "\n" not in said
    assert (tmp_path / "out" / "sub-1-ave.fif").is_file() == kept
    assert not (tmp_path / "out" / "overlap.json").exists()


def taken_apart(place: Path) -> Result:
    """Run the command on the words, the recording and the table of what was presented that lie in a folder."""
    given = ["--eeg", place / "sub-1_raw.fif", "--triggers", place / "presented.csv", "--out", place / "out"]
    return CliRunner().invoke(cli, list(map(str, ["overlap", place / "words.parquet", *given])))


def test_a_few_samples_that_are_not_finite_are_left_out_and_counted(words, tmp_path):
    artifacts.write_table(words, tmp_path / "words.parquet")
    presented = words[["stimulus_id", "word_index", "word"]].assign(trigger=1 + np.arange(N) % 6)
    presented.to_csv(tmp_path / "presented.csv", index=False)
    raw = reader(words, 1)
    raw._data[raw.ch_names.index("Pz"), 900:910] = np.nan
    raw.save(tmp_path / "sub-1_raw.fif", verbose="error")
    done = taken_apart(tmp_path)
    assert done.exit_code == 0, done.output
    assert "0.2 s not finite" in done.output
    assert artifacts.read_table(tmp_path / "out" / "waveforms.parquet")["estimate_uv"].notna().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.rename(columns={"trigger": "code"}), "no column 'trigger' (codes) or 'onset' (seconds); it has"),
        (lambda table: table[["trigger", "word_index"]], "the events have onset, word_index, event"),
        (lambda table: table.assign(stimulus_id="x"), "none of 60 events finds its word by stimulus_id, word_index, word (no word has stimulus_id=x)"),
        (lambda table: table.assign(subject="P1"), "no row of subject '1' (did you mean 'P1'?)"),
        (lambda table: table.assign(onset=1e3 * np.arange(N) + 1e6), "none of 60 onsets lies in a recording; are they seconds"),
        (lambda table: table.assign(onset="soon"), "row 2: 'soon' in column 'onset' is not a number"),
    ],
    ids=["no column", "no labels", "other texts", "other subjects", "milliseconds", "text"],
)  # fmt: skip
def test_a_table_of_words_that_says_too_little_is_one_line(words, tmp_path, change, message):
    artifacts.write_table(words, tmp_path / "words.parquet")
    table = words[["stimulus_id", "word_index", "word"]].assign(trigger=1 + np.arange(N) % 6)
    change(table).to_csv(tmp_path / "presented.csv", index=False)
    reader(words, 1).save(tmp_path / "sub-1_raw.fif", verbose="error")
    done = taken_apart(tmp_path)
    assert isinstance(done.exception, CladaNeuroError), done.output
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)
