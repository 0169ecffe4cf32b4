import os
import subprocess
import sys

import pytest

needs_data = pytest.mark.skipif(
    not os.environ.get("CLADA_NEURO_DATA"), reason="CLADA_NEURO_DATA names no data sets"
)


def run(*arguments, **environment):
    command = [sys.executable, "-m", "clada_neuro", "data", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


def test_an_unknown_set_is_one_line_and_exit_2():
    done = run("path", "nieuwland2081")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "clada-neuro: no data set 'nieuwland2081' (did you mean 'nieuwland2018'?); see 'clada-neuro data list'"
    ]


def test_a_damaged_file_is_one_line_and_exit_2(tmp_path):
    folder = tmp_path / "frank2015_eeg"
    folder.mkdir()
    (folder / "data_EEG.csv").write_text("damaged")
    done = run("path", "frank2015", CLADA_NEURO_DATA=str(tmp_path))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "is not the published file" in done.stderr
    assert "damaged" in run("list", CLADA_NEURO_DATA=str(tmp_path)).stdout


def test_the_list_names_every_set_with_its_citation(tmp_path):
    done = run("list", CLADA_NEURO_DATA="", CLADA_NEURO_CACHE=str(tmp_path))
    assert done.returncode == 0
    for text in ("frank2015 ", "Kim & Osterhout 2005", "hellaswag", "[Apache-2.0]"):
        assert text in done.stdout


@needs_data
def test_the_path_of_a_set_is_printed():
    done = run("path", "kim2005")
    assert done.stdout.strip().endswith("michaelov2020_stimuli")


def test_the_list_says_what_was_not_checked_against_the_papers():
    lines = run("list").stdout.splitlines()
    below = {
        name: lines[place + 2]
        for place, line in enumerate(lines)
        for name in line.split()[:1]
        if place + 2 < len(lines)
    }
    assert "not checked against the paper: windows of ELAN, LAN" in below["devarda2023"]
    assert "not checked" not in below["nieuwland2018"]
