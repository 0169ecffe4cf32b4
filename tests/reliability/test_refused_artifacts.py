"""A file that is damaged, of another version or of another run is refused with the reason, whatever kind it is."""

from pathlib import Path

import pandas as pd
import pytest
from command_line import clada
from tiny_language import tiny_language

from clada_neuro import cache
from clada_neuro.artifacts import (
    read_json,
    read_provenance,
    read_table,
    write_json,
    write_table,
)
from clada_neuro.errors import CalibrationError, DataError, ModelError
from clada_neuro.instrument.trace import Trace, trace
from clada_neuro.lineage import refuse_mixture
from clada_neuro.models.loading import load_model
from clada_neuro.policies.artifact import FORMAT, Calibration, load_calibration
from clada_neuro.records.manifest import read_manifest
from clada_neuro.reporting.results import read_results


def stimuli(sentence: str = "Nobody knows.") -> pd.DataFrame:
    return pd.DataFrame({"stimulus_id": ["s"], "item": ["1"], "condition": ["a"], "sentence": [sentence]})


@pytest.fixture
def folder(tmp_path):
    trace(stimuli(), tiny_language(), out=tmp_path / "a", progress=False)
    return tmp_path / "a"


def cut(path: Path, share: float = 0.7) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


@pytest.mark.parametrize("name", ["tokens", "layers", "words"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_table(folder, name, share):
    cut(folder / f"{name}.parquet", share)
    with pytest.raises(DataError, match=rf"{name}\.parquet' is not a readable parquet file"):
        Trace.read(folder)
    with pytest.raises(DataError, match=rf"{name}\.parquet' is not a readable parquet file"):
        read_results(folder)


def test_a_table_with_a_changed_byte_in_its_data(folder):
    path = folder / "words.parquet"
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="not a readable parquet file"):
        read_table(path)


def test_a_truncated_table_is_made_again_by_the_same_command(folder):
    before = (folder / "words.parquet").read_bytes()
    cut(folder / "words.parquet")
    trace(stimuli(), tiny_language(), out=folder, progress=False)
    assert (folder / "words.parquet").read_bytes() == before


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"', "{}{}"])
def test_a_damaged_manifest(folder, content):
    (folder / "manifest.json").write_text(content)
    with pytest.raises(DataError, match=r"manifest\.json' is (not valid JSON|no manifest)"):
        Trace.read(folder)


def test_a_manifest_of_another_version(folder):
    manifest = read_json(folder / "manifest.json")
    manifest["versions"]["clada-neuro"] = "0.0.1"
    write_json(folder / "manifest.json", manifest)
    for read in (Trace.read, read_results):
        with pytest.raises(DataError, match=r"written by clada-neuro 0\.0\.1, this is"):
            read(folder)


def test_tables_of_another_model_or_stimulus_file_than_the_manifest(folder, tmp_path):
    trace(stimuli("The old sailor slept."), tiny_language(), out=tmp_path / "b", progress=False)
    (tmp_path / "b" / "words.parquet").replace(folder / "words.parquet")
    for read in (Trace.read, read_results):
        with pytest.raises(
            DataError, match=r"words\.parquet' belongs to the trace \w+, the manifest beside it to"
        ):
            read(folder)


def test_a_changed_setting_makes_every_table_anew(folder):
    old = read_provenance(folder / "words.parquet")["inputs"]
    found = trace(stimuli(), tiny_language(start=False), out=folder, progress=False)
    assert {
        read_provenance(folder / f"{name}.parquet")["inputs"] for name in ("tokens", "layers", "words")
    } == {found.manifest["inputs"]}
    assert found.manifest["inputs"] != old


def test_another_version_of_torch_makes_every_table_anew(folder, monkeypatch):
    versions = cache.versions()
    monkeypatch.setattr(cache, "versions", lambda: {**versions, "torch": "9.9"})
    before = read_json(folder / "manifest.json")["inputs"]
    assert trace(stimuli(), tiny_language(), out=folder, progress=False).manifest["inputs"] != before


def test_statistics_of_other_trials(folder):
    inputs = read_json(folder / "manifest.json")["inputs"]
    write_table(
        pd.DataFrame({"subject": ["s"], "n400_uv": [1.0]}),
        folder / "trials.parquet",
        {"inputs": "new", "trace": inputs},
    )
    entry = {"name": "N400", "formula": "y ~ x", "coefficients": {}, "n_obs": 1, "trials": "old"}
    write_json(folder / "fits.json", [entry])
    with pytest.raises(DataError, match=r"fits\.json' was estimated on other trials"):
        read_results(folder)


def test_trials_of_another_trace(folder):
    write_table(
        pd.DataFrame({"subject": ["s"]}), folder / "trials.parquet", {"inputs": "x", "trace": "other"}
    )
    with pytest.raises(DataError, match=r"trials\.parquet' belongs to the trace other"):
        read_results(folder)


def test_files_that_say_nothing_of_their_origin_are_not_refused(tmp_path):
    path = write_table(pd.DataFrame({"a": [1]}), tmp_path / "t.parquet")
    refuse_mixture(path, {"inputs": "abc"})
    write_json(tmp_path / "manifest.json", {"target": "mine"})
    assert read_manifest(tmp_path / "manifest.json") == {"target": "mine"}


@pytest.mark.parametrize("file", ["fits.json", "synergy.json", "pooled.json"])
def test_damaged_statistics(folder, file):
    (folder / file).write_text("[{")
    with pytest.raises(DataError, match=rf"{file}' is not valid JSON"):
        read_results(folder)


@pytest.fixture
def calibration(tmp_path):
    header = {"format": FORMAT, "weights_hash": "f" * 16, "model": "other"}
    return Calibration(header, {}).save(tmp_path / "calibration.safetensors")


def test_a_calibration_of_another_model(calibration):
    with pytest.raises(CalibrationError, match=r"was made for weights f{16}"):
        load_calibration(tiny_language(), calibration)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_truncated_calibration(calibration, share):
    cut(calibration, share)
    with pytest.raises(CalibrationError, match="cannot be read"):
        load_calibration(tiny_language(), calibration)


def test_a_calibration_of_another_format(calibration, tmp_path):
    other = Calibration({"format": FORMAT + 1, "weights_hash": "0" * 16, "model": "x"}, {}).save(
        tmp_path / "other.safetensors"
    )
    with pytest.raises(CalibrationError, match=rf"has format {FORMAT + 1}, {FORMAT} expected"):
        load_calibration(tiny_language(), other)


def test_weights_that_are_damaged(tmp_path):
    model = tiny_language()
    model.model.save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    cut(tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(tmp_path)


def test_the_command_says_it_in_one_line(capsys, folder):
    cut(folder / "words.parquet")
    done = clada(capsys, "report", folder)
    assert done.code == 2
    assert done.complaint.startswith("clada-neuro: ")
    assert "words.parquet" in done.complaint
    assert len(done.err.strip().splitlines()) == 1
