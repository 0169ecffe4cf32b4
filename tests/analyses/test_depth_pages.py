"""Pages of `analyses/24_depth_pages.py` say what the record holds, and call fixed in advance only what was."""

import subprocess
from dataclasses import asdict
from datetime import UTC, datetime

import pandas as pd
import pytest
from analysis_scripts import load
from layers_record import BASELINE, profile_entry

from clada_neuro.artifacts import plain, write_json
from clada_neuro.errors import DataError
from clada_neuro.stats.layers.settings import read_settings

pages = load("24_depth_pages")


def _run(folder, entry=None, **settings):
    shipped = plain(asdict(read_settings().on("kim2005")))
    found = {"schema": 1, "settings": shipped | settings, "entries": [entry or profile_entry()], "notes": []}
    write_json(folder / "depth.json", found)
    write_json(folder / "fits.json", [])
    manifest = {
        "schema": 2,
        "model": {"checkpoint": "tiny"},
        "dataset": {"name": "kim2005", "notes": "A set for a test."},
        "created": "2026-01-02T12:00:00+00:00",
        "exclusions": [
            {
                "step": "one",
                "rows_before": 1300,
                "rows_removed": 100,
                "rows_after": 1200,
                "reason": "too slow",
            }
        ],
    }
    write_json(folder / "manifest.json", manifest)
    return pages.read(folder)


def test_a_page_has_question_counts_figure_tables_controls_and_limits(tmp_path):
    _run(tmp_path)
    pages.write("kim2005", tmp_path, tmp_path)
    text = (tmp_path / "kim2005.md").read_text(encoding="utf-8").replace("\u00a0", " ")
    for said in (
        "in place of surprisal, speak to n400\\_uv?",
        "1,200 rows, 60 words, 60 distinct stimuli",
        "100 of 1,300 rows: too slow",
        "1 of 2 models pass in the family",
        "| surprisal from the layer | 1 | 1 | −0.50 [−0.90, −0.10] | .010 | negative, as found |",
        f"the model without surprisal, {BASELINE}",
        "Not controlled here: a model with random weights",
        "that the brain computes what it does",
        "A set for a test.",
        "(./kim2005.png)",
    ):
        assert said.replace("\\_", "_") in text.replace("\\_", "_"), said
    assert (tmp_path / "kim2005.png").stat().st_size > 10_000
    profile = pd.read_csv(tmp_path / "kim2005_profile.csv")
    assert profile[["model", "layer", "p_family"]].values.tolist() == [["N400", 0, 0.5], ["N400", 1, 0.01]]
    assert not list(tmp_path.glob(".*.part"))


def test_a_page_shows_encoding_and_its_table_where_it_was_asked(tmp_path):
    _run(tmp_path)
    scores = [
        {"vectors": kind, "layer": 1, "r": r, "se": 0.05, "p": 0.02, "p_family": None}
        for kind, r in (("states", 0.4), ("untrained", 0.1))
    ]
    entry = {
        "response": "n400_uv", "n_trials": 1200, "n_words": 60, "n_items": 30, "n_subjects": 12, "ceiling": 0.9,
        "ceiling_low": 0.85, "ceiling_high": 0.93, "scores": scores, "chosen": None, "shuffled": 0.2, "notes": [],
    }  # fmt: skip
    document = {
        "schema": 1,
        "settings": {"folds": 5, "shuffles": 200},
        "model": "tiny",
        "entries": [entry],
        "notes": [],
    }
    write_json(tmp_path / "encoding.json", document)
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "encoding.csv").write_text("response,r\nn400_uv,0.4\n")
    pages.write("kim2005", tmp_path, tmp_path)
    text = (tmp_path / "kim2005.md").read_text(encoding="utf-8").replace("\u00a0", " ")
    assert "the model untrained" in text
    assert "(./kim2005_encoding_n400_uv.png)" in text.replace("\\_", "_")
    assert "shuffled items stand beside the encoding above" in text
    assert (tmp_path / "kim2005_encoding_n400_uv.png").is_file()
    assert (tmp_path / "kim2005_encoding.csv").read_text().startswith("response")


def test_only_settings_that_were_there_before_the_run_are_called_fixed(tmp_path):
    results, record = _run(tmp_path)
    before, after = (("abc1234", datetime(2026, 1, day, tzinfo=UTC)) for day in (1, 3))

    def said(commit):
        return pages.registered(results, record, pages.SETTINGS, commit)

    assert "depth.toml (sha256 " in said(before)
    assert "commit abc1234, before the run whose responses are fitted here was done" in said(before)
    assert said(after).endswith("not shown to be fixed in advance.")
    assert said(None).endswith("nothing here shows when they were fixed.")


@pytest.mark.parametrize("changed", [{"measures": ["lens_rank"]}, {"replicates": 99}, {"fold": "sentence"}])
def test_a_run_with_other_settings_is_not_called_fixed(tmp_path, changed):
    results, record = _run(tmp_path, **changed)
    text = pages.registered(results, record, pages.SETTINGS, ("abc", datetime(2020, 1, 1, tzinfo=UTC)))
    assert "are not those of depth.toml" in text
    assert "nothing here shows" in text


def test_the_last_commit_of_a_file_is_known_unless_it_was_changed_since(tmp_path):
    def git(*words):
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    file = tmp_path / "depth.toml"
    file.write_text("one")
    assert pages.committed(file) is None
    git("init")
    assert pages.committed(file) is None
    git("add", ".")
    git("commit", "-m", "one")
    commit, when = pages.committed(file)
    assert len(commit) >= 7
    assert when.tzinfo
    file.write_text("two")
    assert pages.committed(file) is None


def test_a_slope_of_the_replaced_predictor_and_its_lag_are_named(tmp_path):
    formula = "n400_uv ~ surprisal_bits + surprisal_bits_lag1 + (1 + surprisal_bits || subject)"
    baseline = "n400_uv ~ 1 + surprisal_bits_lag1 + (1 + surprisal_bits || subject)"
    without, with_slope = (
        pages.not_shown(*_run(tmp_path, profile_entry() | changed))
        for changed in ({}, {"formula": formula, "baseline": baseline})
    )
    assert not any("slope" in line or "word before" in line for line in without)
    assert any("The random slope of surprisal stays in all models" in line for line in with_slope)
    assert any("The word before stands in all models" in line for line in with_slope)


def test_a_folder_without_the_analysis_is_told(tmp_path):
    write_json(tmp_path / "fits.json", [])
    with pytest.raises(DataError, match=r"no depth\.json"):
        pages.read(tmp_path)
