"""``trace --csv`` and the CSV files beside the tables: the caller's rows and columns, and the measures of each word."""

import pandas as pd
import pytest
from command_line import clada
from tiny_models import tiny_checkpoint

from clada_neuro.artifacts import read_json, read_table


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("model"))


@pytest.fixture
def call(capsys, tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, code: int = 0) -> str:
        done = clada(capsys, "trace", *arguments, "--model", model)
        assert done.code == code, done.err
        return done.complaint if code else done.out

    return run


TEXTS = pd.DataFrame(
    {"Item No.": [2, 1, 3], "item": ["b", "a", "c"], "condition": ["x", "x", "y"], "mean RT (ms)": [310.5, None, 290.0],
     "sentence": ["w4 w5 w6", "w7 w8", "w9"], "critical_word": ["w6", "w8", None], "note": ["=1+1", "ü", None]}
)  # fmt: skip
AREAS = pd.DataFrame(  # the second text begins within the first, and its words come backwards
    {"item": [1, 2, 1, 2, 1], "condition": "x", "word": ["w4", "w8", "w5", "w7", "w6"], "word_index": [1, 2, 2, 1, 3],
     "RT": [301, 302, None, 304, 305], "list": ["A", "B", "A", "B", "A"]}
)  # fmt: skip


def test_alone_it_writes_the_texts_beside_their_words(call, tmp_path):
    TEXTS.to_csv("texts.csv", index=False)
    call("texts.csv", "--csv")
    assert {path.name for path in tmp_path.iterdir()} - {".texts_words.csv.lock"} == {
        "texts.csv", "texts_words.csv", "texts_words.json",
    }  # fmt: skip
    made = pd.read_csv("texts_words.csv")
    assert made["word"].tolist() == ["w4", "w5", "w6", "w7", "w8", "w9"]
    assert made["Item.No."].tolist() == [2, 2, 2, 1, 1, 3]
    assert made["mean.RT..ms."].tolist()[0] == 310.5
    assert made["note"].fillna("").tolist()[::3] == ["'=1+1", "ü"]
    critical = made[made["is_critical"]]
    assert critical["word"].tolist() == ["w6", "w8"]
    assert read_json("texts_words.json")["model"]["start_token"]
    call("texts.csv", "--out", "folder")
    assert (tmp_path / "folder/words.csv").read_bytes() == (tmp_path / "texts_words.csv").read_bytes()
    kept = read_table("folder/words.parquet")
    assert made["surprisal_bits"].tolist() == pytest.approx(kept["surprisal_bits"].tolist(), rel=1e-15)


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_file_with_a_row_a_word_keeps_its_rows_and_each_word_its_own_cells(call, separator):
    AREAS.to_csv("areas.csv", index=False, sep=separator)
    call("areas.csv", "--out", "measured.csv")
    made = pd.read_csv("measured.csv")
    assert made["word"].tolist() == AREAS["word"].tolist()
    assert made["RT"].fillna(-1).tolist() == AREAS["RT"].fillna(-1).tolist()
    assert made["list"].tolist() == AREAS["list"].tolist()
    assert made["file_row"].tolist() == [2, 3, 4, 5, 6]
    assert made["surprisal_bits"].notna().all()


def test_text_among_the_numbers_of_words_is_refused_with_its_row(call):
    areas = pd.concat([AREAS] * 3, ignore_index=True).assign(RT="311", item=[*range(15)], word_index=1)
    areas.loc[4, "RT"] = "3I1"
    areas.loc[5, ["item", "word_index"]] = [4, 2]
    areas.to_csv("areas.csv", index=False)
    assert "row 6: '3I1' in column 'RT' is not a number" in call("areas.csv", "--csv", code=2)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "say where to write: --out FOLDER for all tables, or --csv for one file"),
        (["--csv", "--out", "folder"], "--csv writes one file: give --out folder.csv"),
        (["--out", "texts.csv"], "'texts.csv' is the file of stimuli itself"),
        (["--csv", "--top-k", 2], "--top-k writes a table of its own; give a folder"),
        (["--out", "words.tsv"], "'words.tsv' names a file"),
    ],
)
def test_where_it_cannot_write_is_said_first(call, tmp_path, options, told):
    TEXTS.to_csv("texts.csv", index=False)
    assert told in call("texts.csv", *options, code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["texts.csv"]
