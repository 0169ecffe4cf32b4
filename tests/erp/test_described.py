"""What the files say of a recording, and what they do not."""

import json

import numpy as np
import pytest

from clada_neuro.erp.described import described
from clada_neuro.erp.measurement import Measurement
from clada_neuro.erp.raw_sources import read_recordings
from clada_neuro.erp.sources import read_epochs


@pytest.fixture(scope="module")
def epochs(simulated):
    named = {name: part.copy() for name, part in list(simulated.epochs.items())[:3]}
    next(iter(named.values())).info["bads"] = ["Fp1"]
    return read_epochs(named)


def test_epochs_alone_fill_what_they_hold_and_name_the_rest(epochs):
    found = described(epochs, Measurement(), "none", channels={"n400": ["Cz", "Pz"]})
    assert found["measurement"]["n400"] == "mean of Cz, Pz, 300–500 ms"
    assert found["recording"]["sampling rate"] == "200 Hz"
    assert found["recording"]["electrodes"].startswith("32: Fp1, Fp2")
    assert found["recording"]["positions"] == "of 32 electrodes"
    kept = sum(map(len, epochs.epochs.values()))
    rejected = int(epochs.dropped["n"].sum())
    assert found["processing"]["trials"] == f"{kept:,} kept; rejected: {rejected} SIMULATED_ARTIFACT"
    assert found["processing"]["bad channels"].endswith(": Fp1")
    assert found["processing"]["epochs"] == "−200 to 1000 ms"
    assert found["processing"]["high-pass filter"] is None
    assert set(found["measurement"]) == {"n400", "p600"}
    assert "recording: amplifier maker" in found["gaps"]
    assert "recording: impedance" in found["gaps"]
    assert "participants: age" in found["gaps"]
    assert "recording: sampling rate" not in found["gaps"]
    json.dumps(found, allow_nan=False)


def test_sidecars_and_participants_of_bids_are_read(epochs, tmp_path):
    pytest.importorskip("mne_bids")
    pytest.importorskip("pybv")
    import pandas as pd

    from clada_neuro.erp.simulate_bids import simulate_bids

    words = pd.DataFrame(
        {
            "stimulus_id": ["t0"] * 5, "item": "i0", "condition": "c0", "word_index": range(5), "word": list("abcde"),
            "surprisal_bits": np.arange(5.0),
        }
    )  # fmt: skip
    root = simulate_bids(words, tmp_path / "bids", n_readers=2, sfreq=50.0)
    for sidecar in root.rglob("*_eeg.json"):
        said = json.loads(sidecar.read_text()) | {
            "Manufacturer": "Brain Products",
            "EEGReference": "FCz",
            "EEGGround": "n/a",
        }
        sidecar.write_text(json.dumps(said))
    (root / "participants.tsv").write_text(
        "participant_id\tage\tsex\thand\nsub-01\t20\tF\tR\nsub-02\t30\tF\tn/a\n"
    )
    found = described(epochs, Measurement(), "none", read_recordings(root))
    assert found["recording"]["amplifier maker"] == "Brain Products"
    assert found["recording"]["reference while recording"] == "FCz"
    assert found["recording"]["ground"] is None
    assert found["recording"]["line frequency"] == "50 Hz"
    assert found["recording"]["files"].startswith("2 recordings, 0.")
    assert found["participants"] == {
        "number analyzed": 3,
        "age": "25.0 years (20–30)",
        "sex": "2 F",
        "hand": "1 R",
    }
    assert "recording: ground" in found["gaps"]
