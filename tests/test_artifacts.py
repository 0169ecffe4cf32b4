"""Files appear whole, know what they were computed from, and have one writer."""

import os
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clada_neuro import artifacts
from clada_neuro.errors import DataError


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = artifacts.write_text(tmp_path / "a.txt", "old")

    def fail(part):
        part.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        artifacts.write_atomic(path, fail)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_table_comes_back_with_its_provenance(tmp_path):
    frame = pd.DataFrame(
        {"word": ["None", "ä"], "value": [1.5, np.nan], "index": pd.array([1, None], "Int64")}
    )
    path = artifacts.write_table(frame, tmp_path / "t.parquet", {"inputs": "abc"})
    pd.testing.assert_frame_equal(artifacts.read_table(path), frame, check_dtype=False)
    assert artifacts.read_provenance(path)["inputs"] == "abc"
    assert artifacts.read_provenance(path)["versions"]["numpy"] == np.__version__


def test_a_truncated_table_is_refused_and_not_current(tmp_path):
    path = artifacts.write_table(pd.DataFrame({"a": range(1000)}), tmp_path / "t.parquet", {"inputs": "abc"})
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match="not a readable parquet file"):
        artifacts.read_table(path)


def test_json_holds_plain_values_only(tmp_path):
    value = {"a": np.float64(1.5), "b": np.nan, "c": np.arange(2), "d": {1: np.bool_(True)}, "e": pd.NA}
    path = artifacts.write_json(tmp_path / "v.json", value)
    assert artifacts.read_json(path) == {"a": 1.5, "b": None, "c": [0, 1], "d": {"1": True}, "e": None}


@pytest.mark.parametrize("provenance", [b"{damaged", b"[]", b"null"])
@pytest.mark.parametrize(
    "metadata",
    [b'{"columns": [1], "index_columns": []}', b"\x80", b'{"columns" 1}', b"[]", b'{"index_columns": 1}'],
)
def test_a_table_with_damaged_metadata_is_refused(tmp_path, metadata, provenance):
    schema = pa.schema(
        [("x", pa.int64())], metadata={b"pandas": metadata, artifacts.PROVENANCE_KEY: provenance}
    )
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": [1]}).cast(schema), path)
    for read in (artifacts.read_table, artifacts.read_provenance):
        with pytest.raises(DataError, match="is not a readable parquet file"):
            read(path)


@pytest.mark.parametrize("content", [None, "{broken", "\xff"])
def test_missing_or_damaged_json_is_refused(tmp_path, content):
    path = tmp_path / "v.json"
    if content is not None:
        path.write_text(content, encoding="latin-1")
    with pytest.raises(DataError):
        artifacts.read_json(path)


def test_hashes_follow_content(tmp_path):
    first, second = tmp_path / "1", tmp_path / "2"
    first.write_bytes(b"x")
    second.write_bytes(b"x")
    assert artifacts.content_hash(first) == artifacts.content_hash(second)
    assert artifacts.content_hash({"a": 1, "b": 2}) == artifacts.content_hash({"b": 2, "a": 1})
    assert artifacts.content_hash("ab", "c") != artifacts.content_hash("a", "bc")
    frame = pd.DataFrame({"a": [0.1]})
    assert artifacts.content_hash(frame) != artifacts.content_hash(frame + 1e-12)


def test_a_second_process_is_refused_while_the_first_may_enter_again(tmp_path):
    code = (
        "import sys; from pathlib import Path; from clada_neuro.artifacts import sole_writer\n"
        "from clada_neuro.errors import DataError\n"
        "try:\n    with sole_writer(Path(sys.argv[1])): print('entered')\n"
        "except DataError as error: print(error)"
    )

    def attempt():
        command = [sys.executable, "-c", code, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    with artifacts.sole_writer(tmp_path):
        with artifacts.sole_writer(tmp_path):
            pass
        assert "another process is writing" in attempt()
    assert attempt() == "entered\n"


def test_waiting_for_another_process_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(artifacts, "_PATIENCE_S", 0.05)
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with artifacts.one_at_a_time(tmp_path / "lock", "works"):
            entered.set()
            leave.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    entered.wait(10)
    threading.Timer(0.5, leave.set).start()
    with artifacts.one_at_a_time(tmp_path / "lock", "unpacks a model (once)"):
        assert leave.is_set()
    other.join()
    assert capsys.readouterr().err == "waiting for another process, which unpacks a model (once)\n"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write to"):
        artifacts.output_folder(tmp_path / "file" / "out")
