"""Stimulus files with other headers and counts, and names in place of files."""

import os
from types import SimpleNamespace

import pandas as pd
import pytest
from command_line import clada

from clada_neuro.study.named import resolve_stimuli
from clada_neuro.study.resolve import resolve_target
from clada_neuro.study.response_files import ResponseFiles

needs_data = pytest.mark.skipif(
    not os.environ.get("CLADA_NEURO_DATA"), reason="CLADA_NEURO_DATA names no data sets"
)
COLUMNS = {"item": "Frame", "condition": "Kind", "sentence": "Text", "critical_index": "Where"}


@pytest.fixture
def stimuli(tmp_path):
    path = tmp_path / "stimuli.csv"
    path.write_text(
        "Frame;Kind;Text;Where\n1;a;Der Bär schlief.;2\n1;b;Der Hund schlief.;2\n", encoding="latin-1"
    )
    return path


@pytest.fixture
def seen(monkeypatch):
    """What the commands pass on, without a model."""
    calls = {}

    def trace_by(setting, texts, *_):
        calls.update(texts=texts, setting=setting)
        return SimpleNamespace(remarks=lambda _: ["31 % unknown"], words=pd.DataFrame())

    monkeypatch.setattr("clada_neuro.scale.spread.trace_by", trace_by)
    monkeypatch.setattr("clada_neuro.exports.csv_beside", lambda *_: "")
    monkeypatch.setattr("clada_neuro.study.run.run", lambda target, **options: calls.update(options))
    return calls


def declared():
    return [part for name, column in COLUMNS.items() for part in ("--column", f"{name}={column}")]


def test_trace_reads_the_declared_columns_index_and_encoding(stimuli, seen, tmp_path, capsys):
    done = clada(
        capsys, "trace", stimuli, *declared(), "--index-base", 1, "--encoding", "latin-1", "--out", tmp_path
    )
    assert done.code == 0
    assert list(seen["texts"]["critical_word"]) == ["Bär", "Hund"]
    assert list(seen["texts"]["critical_index"]) == [1, 1]


def test_what_acts_is_printed_and_can_be_declared_away(seen, tmp_path, capsys):
    path = tmp_path / "stimuli.csv"
    path.write_text("item,condition,sentence,Context\n1,a,He left.,neutral\n1,b,He left.,biasing\n")
    done = clada(capsys, "trace", path, "--out", tmp_path / "out")
    first, last = done.err.splitlines()
    assert first.startswith("note: preceding text: column Context (such as 'neutral'")
    assert last == "note: 31 % unknown"
    assert list(seen["texts"]["context"]) == ["neutral", "biasing"]
    done = clada(capsys, "trace", path, "--column", "context=", "--out", tmp_path / "out")
    assert done.err.splitlines() == ["note: 31 % unknown"]
    assert "context" not in seen["texts"]


@pytest.mark.parametrize(("given", "language"), [((), "en"), (("--language", "nl"), "nl")])
def test_trace_takes_a_language(stimuli, seen, tmp_path, capsys, given, language):
    done = clada(
        capsys,
        "trace",
        stimuli,
        *declared(),
        "--index-base",
        1,
        "--encoding",
        "latin-1",
        *given,
        "--out",
        tmp_path,
    )
    assert done.code == 0
    assert seen["setting"].language == language


def test_run_passes_the_declarations_on(stimuli, seen, capsys):
    assert clada(capsys, "run", stimuli, *declared(), "--index-base", 1, "--encoding", "latin-1").code == 0
    assert (seen["columns"], seen["index_base"], seen["encoding"]) == (COLUMNS, 1, "latin-1")


def test_a_target_uses_them_for_its_file(stimuli, tmp_path):
    trials = tmp_path / "trials.csv"
    pd.DataFrame({"subject": ["s1"], "item": ["1"], "condition": ["a"], "n400_uv": [0.5]}).to_csv(trials)
    target = resolve_target(stimuli, ResponseFiles(trials), columns=COLUMNS, index_base=1, encoding="latin-1")
    assert list(target.stimuli["critical_word"]) == ["Bär", "Hund"]


def test_the_demonstration_can_be_traced_alone():
    assert len(resolve_stimuli("demo")) == 270 + 96


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["trace", "x.csv", "--column", "item"], ["'item' given", "NAME=COLUMN"]),
        (["trace", "x.csv", "--index-base", "2"], ["'2'", "'0', '1'"]),
        (["trace", "dmo"], ["did you mean 'demo'"]),
        (["trace", "demo", "--encoding", "latin-1"], ["'demo'", "--encoding", "stimulus files only"]),
        (["run", "demo", "--index-base", "1"], ["--index-base"]),
        (["run", "demo", "--trials", "trials.csv"], ["--trials"]),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(tmp_path, capsys, arguments, parts):
    done = clada(capsys, *arguments, "--out", tmp_path)
    assert done.code == 2
    assert len(done.err.strip().splitlines()) == 1
    assert all(part in done.complaint for part in parts)


@needs_data
def test_a_data_set_is_a_name_for_its_stimuli():
    assert len(resolve_stimuli("kim2005")) == 384


@needs_data
def test_reading_times_of_a_set_are_explained_by_the_default():
    target = resolve_target("naturalstories")
    assert [model.response for model in target.analysis.models] == ["reading_time_ms"]
    assert target.decided_by["kind"] == "default"


@needs_data
def test_means_over_subjects_are_weighted_by_their_trials():
    target = resolve_target("devarda2023")
    assert len(target.trials) == 1_482
    assert {model.weights for model in target.analysis.models} == {"n_trials"}
    assert not any("subject" in model.formula for model in target.analysis.models)
