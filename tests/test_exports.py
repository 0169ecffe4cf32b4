"""CSV for R and spreadsheets: names as R has them, guarded cells, one file beside each table, the caller's rows first."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from clada_neuro import exports
from clada_neuro.artifacts import output_folder, write_table
from clada_neuro.errors import DataError
from clada_neuro.exports import csv_beside, own_columns_first, r_names, write_csv, write_for_r

REFERENCE = Path(__file__).parent / "reference" / "r_names_reference.json"


def test_names_are_those_of_r():
    known = json.loads(REFERENCE.read_text(encoding="utf-8"))
    assert r_names(known["names"]) == dict(zip(known["names"], known["made"], strict=True))


def test_names_that_r_gave_stay_as_they_are():
    made = json.loads(REFERENCE.read_text(encoding="utf-8"))["made"]
    assert list(r_names(made).values()) == made


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_text_that_a_spreadsheet_would_execute_gets_an_apostrophe(tmp_path, text):
    for write, encoding in ((write_csv, "utf-8-sig"), (write_for_r, "utf-8")):
        path = write(pd.DataFrame({"word": [text, "plain"]}), tmp_path / "t.csv")
        assert f"'{text}" in path.read_bytes().decode(encoding)


def test_headers_are_neutralized_and_numbers_are_not(tmp_path):
    frame = pd.DataFrame({"=x": [-1.5], "list": [["=a", "b"]]})
    lines = write_csv(frame, tmp_path / "t.csv").read_text("utf-8-sig").splitlines()
    assert lines == ["'=x,list", '-1.5,"\'=a, b"']


def test_a_table_in_parts_is_the_table_whole_without_a_byte_order_mark(tmp_path):
    frame = pd.DataFrame(
        {"é b": range(7), "n": [1.5, None] * 3 + [2.0], "w": ["NA", "", None, "ü", "a,b", '"', "x"]}
    )
    whole = write_for_r(frame, tmp_path / "whole.csv").read_bytes()
    parts = write_for_r(
        (frame.iloc[at : at + 3] for at in range(0, 7, 3)), tmp_path / "parts.csv"
    ).read_bytes()
    assert whole == parts
    assert whole.startswith("é.b,n,w\n".encode())


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
def test_r_reads_what_was_written(tmp_path):
    frame = pd.DataFrame({"RT (ms)": [312.0, None], "if": [True, False], "größe": ["ä", "b"], "a b": [1, 2], "a.b": [3, 4],
                          "yes": [None, False]})  # fmt: skip
    path = write_for_r(frame, tmp_path / "t.csv")
    code = f'd <- read.csv("{path}", encoding = "UTF-8"); cat(names(d), sapply(d, class), d$RT..ms., d$a.b, d$if., d$yes, sep = "|")'
    env = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=True, env=env)
    assert done.stdout == (
        "RT..ms.|if.|größe|a.b.1|a.b|yes|numeric|logical|character|integer|integer|logical|312|NA|3|4|TRUE|FALSE|NA|FALSE"
    )


def test_words_come_with_the_caller_s_columns_first_and_in_the_caller_s_rows():
    words = pd.DataFrame(
        {"stimulus_id": ["a", "a", "b"], "word_index": [0, 1, 0], "word": ["x", "y", "z"], "surprisal_bits": [1.0, 2.0, 3.0],
         "rt": [310, 320, 330], "file_row": [3, 2, 4], "surprisal_bits_lag1": [None, 1.0, None], "rt_next": [1, 2, 3]}
    )  # fmt: skip
    made = own_columns_first(words)
    assert list(made) == [
        "stimulus_id", "rt", "file_row", "rt_next", "word_index", "word", "surprisal_bits", "surprisal_bits_lag1",
    ]  # fmt: skip
    assert made["word"].tolist() == ["y", "x", "z"]


def test_the_file_beside_a_table_follows_the_table(tmp_path, monkeypatch):
    table = tmp_path / "trials.parquet"
    write_table(pd.DataFrame({"subject": ["s1"], "rt": [1]}), table)
    assert csv_beside(table) == ""
    path = tmp_path / "trials.csv"
    os.utime(table, ns=(1, 1))
    before = path.stat().st_mtime_ns
    csv_beside(table)
    assert path.stat().st_mtime_ns == before  # it is newer: nothing to do
    write_table(pd.DataFrame({"subject": ["s2", "s3"], "rt": [1, 2]}), table)
    csv_beside(table)
    assert pd.read_csv(path)["subject"].tolist() == ["s2", "s3"]
    monkeypatch.setattr(exports, "LARGEST", 1)
    assert "trials.csv is left out: trials.parquet has 2 rows" in csv_beside(table)
    assert not path.exists()


@pytest.mark.parametrize("name", ["x.csv", "x.TSV", "report.html"])
def test_a_folder_is_not_given_the_name_of_a_file(tmp_path, name):
    with pytest.raises(DataError, match=f"'{tmp_path / name}' names a file; --out is a folder here"):
        output_folder(tmp_path / name)
    assert not (tmp_path / name).exists()
