"""Wrong input: one clear line, exit code 2."""

import json
import os

import pytest
from command_line import clada

STIMULI = "item,condition,sentence,critical_word\n1,a,The cat slept.,cat\n"


def stimuli(tmp_path, text=STIMULI):
    path = tmp_path / "stimuli.csv"
    path.write_text(text, encoding="utf-8")
    return path


def expect(done, *parts):
    assert done.code == 2
    assert done.complaint.startswith("clada-neuro: ")
    assert "Traceback" not in done.err
    for part in parts:
        assert part in done.complaint


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "item,condition,sentense,critical_word\n1,a,The cat slept.,cat\n",
            ["sentence", "did you mean 'sentense'"],
        ),
        (
            "item,condition,sentence,critical_word\n1,a,The cat slept.,cat\n2,a,A dog ran.,cow\n",
            ["row 3", "cow"],
        ),
        ("", ["empty"]),
        ("item,condition,sentence,critical_word\n", ["empty"]),
    ],
)
def test_a_stimulus_file_that_cannot_be_used(tmp_path, capsys, text, parts):
    expect(clada(capsys, "trace", stimuli(tmp_path, text), "--out", tmp_path / "out"), "stimuli.csv", *parts)


def test_an_unknown_data_set(tmp_path, capsys):
    expect(clada(capsys, "run", "nieuwland2081", "--out", tmp_path), "did you mean 'nieuwland2018'")


def test_an_unknown_command(capsys):
    expect(clada(capsys, "rnu"), "no command 'rnu'", "did you mean 'run'")


def test_an_unknown_option(capsys):
    expect(clada(capsys, "run", "demo", "--otu", "x"), "--otu")


def test_stimuli_without_responses(tmp_path, capsys):
    expect(clada(capsys, "run", stimuli(tmp_path), "--out", tmp_path / "out"), "--trials")


@pytest.mark.parametrize(
    ("files", "parts"),
    [
        ({}, ["config.json"]),
        ({"config.json": "{}"}, ["no weights", ".safetensors"]),
        ({"config.json": "{}", "pytorch_model.bin": "x"}, ["asks for more than weights", "could run code"]),
    ],
)
def test_a_model_folder_that_cannot_be_used(tmp_path, capsys, files, parts):
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)
    done = clada(capsys, "trace", stimuli(tmp_path), "--model", folder, "--out", tmp_path / "out")
    expect(done, str(folder), *parts)


def test_an_output_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    expect(clada(capsys, "run", "demo", "--out", tmp_path / "file" / "out"), "cannot write to", "--out")


@pytest.mark.skipif(os.environ.get("CLADA_NEURO_DATA") is None, reason="CLADA_NEURO_DATA names no data sets")
def test_a_component_the_data_set_does_not_have(tmp_path, capsys):
    done = clada(capsys, "run", "nieuwland2018", "--component", "p600", "--out", tmp_path / "out")
    expect(done, "p600_uv", "n400_uv")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("title = 'x'\n", ["[[model]]"]),
        ("title = 'x'\n[[model]]\nname = 'a'\nformla = 'y ~ x'\n", ["formla", "did you mean 'formula'"]),
        ("title = 'x'\n[[model]]\nname = 'a'\n", ["formula"]),
        ("title = \n", ["not valid TOML"]),
        (
            "title = 'x'\n[[model]]\nname = 'a'\nformula = 'n400_uv ~ x'\ndirections = { x = 'up' }\n",
            ["'negative' or"],
        ),
    ],
)
def test_an_analysis_file_that_cannot_be_used(tmp_path, capsys, text, parts):
    path = tmp_path / "analysis.toml"
    path.write_text(text)
    done = clada(capsys, "run", "demo", "--analysis", path, "--out", tmp_path / "out")
    expect(done, "analysis.toml", *parts)


def test_reports_need_a_folder_with_tables(tmp_path, capsys):
    expect(clada(capsys, "report", tmp_path / "nothing"), "nothing")


def test_a_damaged_manifest_is_named(tmp_path, capsys):
    (tmp_path / "manifest.json").write_text(json.dumps({})[:1])
    expect(clada(capsys, "report", tmp_path), "manifest.json")
