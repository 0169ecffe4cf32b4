"""Raw BIDS folder to planted responses: written and read back by mne-bids, taken apart by the command, against plain averages."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

pytest.importorskip("mne_bids")
pytest.importorskip("pybv")

from clada_neuro import artifacts
from clada_neuro.cli.main import cli
from clada_neuro.erp.components import N400, P600
from clada_neuro.erp.cut import cut_epochs
from clada_neuro.erp.simulate_bids import simulate_bids
from clada_neuro.erp.simulate_raw import simulate_reading
from clada_neuro.erp.sources import read_epochs

READERS, SITE = 6, "Pz"
WINDOWS = {part.name: (part.tmin, part.tmax) for part in (N400, P600)}


@pytest.fixture(scope="module")
def words() -> pd.DataFrame:
    n, length = 320, 8
    return pd.DataFrame(
        {
            "stimulus_id": [f"t{k // length}" for k in range(n)], "item": [f"i{k // length}" for k in range(n)],
            "condition": "a", "word_index": np.arange(n) % length, "word": [f"w{k}" for k in range(n)],
            "surprisal_bits": np.random.default_rng(8).gamma(3, 2, n),
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def desk(words, tmp_path_factory):
    """Readers on disk, their responses by the command, and their epochs."""
    place = tmp_path_factory.mktemp("bids_to_planted")
    root = simulate_bids(words, place / "bids", n_readers=READERS, sfreq=50.0, noise_uv=4.0)
    artifacts.write_table(words, place / "words.parquet")
    given = [
        "overlap",
        place / "words.parquet",
        "--eeg",
        root,
        "--out",
        place / "apart",
        "--permutations",
        64,
    ]
    done = CliRunner().invoke(cli, list(map(str, given)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    cut_epochs(root, place / "epochs")
    return place


def planted(desk, words: pd.DataFrame, term: str) -> pd.DataFrame:
    """Mean of each reader's planted waveform in each component's window at one electrode, µV."""
    rows = {}
    effects = artifacts.read_json(desk / "bids" / "sourcedata" / "simulation.json")["effects"]
    for reader, own in effects.items():
        wave = simulate_reading(words.head(2), effects=own, sfreq=50.0, noise_uv=0).truth[term]
        at = 1e6 * wave.data[wave.ch_names.index(SITE)]
        rows[reader] = {name: at[_inside(wave.times, *window)].mean() for name, window in WINDOWS.items()}
    return pd.DataFrame(rows).T


def apart(desk, predictor: str) -> pd.DataFrame:
    """Readers' means in each window, taken apart, µV: one row per reader."""
    found = artifacts.read_table(desk / "apart" / "waveforms.parquet")
    rows = found[(found["predictor"] == predictor) & (found["channel"] == SITE)]
    means = {
        name: rows[_inside(rows["time_ms"] / 1e3, *window)].groupby("subject")["estimate_uv"].mean()
        for name, window in WINDOWS.items()
    }
    return pd.DataFrame(means)


def averaged(desk) -> pd.DataFrame:
    """The same of plain averages of all words' epochs."""
    averages = {name: epochs.average() for name, epochs in read_epochs(desk / "epochs").epochs.items()}
    means = {
        reader: {
            name: 1e6 * average.data[average.ch_names.index(SITE), _inside(average.times, *window)].mean()
            for name, window in WINDOWS.items()
        }
        for reader, average in averages.items()
    }
    return pd.DataFrame(means).T


def _inside(times, tmin: float, tmax: float) -> np.ndarray:
    return np.asarray((times >= tmin - 1e-9) & (times <= tmax + 1e-9))


def share(found: pd.DataFrame, truth: pd.DataFrame) -> pd.Series:
    """What part of the planted amplitude is found, over readers."""
    assert len(found) == READERS
    return found.mean() / truth.loc[found.index].mean()


def test_planted_responses_come_back_and_plain_averages_miss_them(desk, words):
    average, slope = planted(desk, words, "intercept"), planted(desk, words, "surprisal_bits")
    effects = apart(desk, "center(surprisal_bits)")
    assert share(apart(desk, "intercept"), average).between(0.8, 1.2).all()
    assert share(effects, slope).between(0.8, 1.2).all()
    assert share(averaged(desk), average).between(0, 0.6).all()  # the neighbours' responses take the rest
    t = effects.mean() / effects.sem()
    assert t["n400"] < -4
    assert t["p600"] > 4


def test_effects_hold_over_stimuli_too(desk):
    found = artifacts.read_table(desk / "apart" / "by_item.parquet").set_index("where")
    assert found.loc["n400_uv", "ci_high"] < 0 < found.loc["p600_uv", "ci_low"]
    account = artifacts.read_json(desk / "apart" / "overlap.json")["by_item"]["words"]
    assert account["in the check"] == sum(account.values()) - account["in part outside, or in spans left out"]
