"""`depth` on a run of the embedded model: what is written, what is refused, and that it stands there the second time."""

import html
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import clada

import clada_neuro as cn
from clada_neuro import artifacts
from clada_neuro.errors import DataError, FitError
from clada_neuro.records.depth import DepthRecord
from clada_neuro.stats.layers.settings import read_settings
from clada_neuro.study.run import run

SETTINGS = """
measures = ["lens_surprisal_bits", "displacement_below"]
replicates = 19
folds = 3
[directions.n400_uv]
lens_surprisal_bits = "negative"
"""
RANDOM = "(1|subject) + (1|item) + (1|stimulus)"
FORMULAS = [f"n400_uv ~ surprisal_bits + C(condition) + {RANDOM}", f"p600_uv ~ length + {RANDOM}"]


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("depth")
    run("demo", out=folder / "run", limit=8, layers="9,29", formula=FORMULAS, jobs=1)
    (folder / "depth.toml").write_text(SETTINGS)
    return folder


def test_a_run_gets_its_profile_and_the_replaced_predictor_is_the_runs(study):
    lines: list[str] = []
    found = cn.depth(study / "run", settings=study / "depth.toml", progress=lines.append)
    (note,) = found.notes
    assert note == f"p600_uv is left out: 'surprisal_bits' is no term of 'p600_uv ~ length + {RANDOM}'"
    (entry,) = found.entries
    (fit, _) = artifacts.read_json(study / "run" / "fits.json")
    for name in ("estimate", "se", "t"):
        assert entry["final"][name] == pytest.approx(fit["coefficients"]["surprisal_bits"][name], rel=1e-3)
    assert entry["n_obs"] == fit["n_obs"]
    rows = found.profile
    assert list(zip(rows["measure"], rows["layer"], strict=True)) == [
        (name, layer) for name in ("lens_surprisal_bits", "displacement_below") for layer in (9, 29)
    ]
    last = rows[(rows["measure"] == "lens_surprisal_bits") & (rows["layer"] == 29)].iloc[0]
    assert last["estimate"] == pytest.approx(entry["final"]["estimate"], rel=1e-3)
    assert last["expected"] == "negative"
    for name in ("profile", "choice", "chosen"):
        written = pd.read_csv(study / "run" / "tables" / f"depth_{name}.csv")
        assert len(written) == len(getattr(found, name))
    np.testing.assert_allclose(pd.read_csv(study / "run" / "tables" / "depth_profile.csv")["t"], rows["t"])
    assert any("models in place of surprisal_bits" in line for line in lines)
    assert not list((study / "run").glob("depth_null*"))


def test_a_run_gets_its_forms_of_predictability(study, monkeypatch, capsys):
    with pytest.raises(FitError, match="'item' has 8 levels, too few for 10 folds"):
        cn.predictability(study / "run")
    found = cn.predictability(study / "run", folds=4)
    written = pd.read_csv(study / "run" / "tables" / "predictability.csv")
    assert written["form"].tolist()[:2] == ["surprisal_bits", "surprisal_power_3_4"]
    np.testing.assert_allclose(written["heldout_none"], found["heldout_none"])
    (fit, _) = artifacts.read_json(study / "run" / "fits.json")
    estimate = fit["coefficients"]["surprisal_bits"]["estimate"]
    assert found["estimate"].iloc[0] == pytest.approx(estimate, rel=1e-3)
    assert found.attrs["notes"][0].startswith("p600_uv is left out: 'surprisal_bits' is no term")
    monkeypatch.setattr("clada_neuro.study.predictability.predictability_of", None)
    pd.testing.assert_frame_equal(cn.predictability(study / "run", folds=4), found)
    done = clada(capsys, "predictability", study / "run", "--folds", "4")
    assert done.code == 0
    assert "minus_probability" in done.out
    page = cn.report(study / "run").read_text(encoding="utf-8")
    assert "Forms of predictability" in page
    manifest = artifacts.read_json(study / "run" / "manifest.json")
    copy = study / "words_as_items"
    shutil.copytree(study / "run", copy)
    artifacts.write_json(copy / "manifest.json", manifest | {"dataset": {"name": "frank2015"}})
    monkeypatch.undo()
    cn.predictability(copy, folds=4)
    (entry,) = artifacts.read_json(copy / "predictability.json")["entries"]
    assert (entry["fold"], entry["n_items"]) == ("sentence", 24)
    done = clada(capsys, "predictability", study / "nowhere")
    assert done.code == 2
    assert "is not a folder" in done.complaint


def test_what_stands_there_is_not_fitted_again(study, monkeypatch):
    first = cn.depth(study / "run", settings=study / "depth.toml")
    monkeypatch.setattr("clada_neuro.study.depth.profile_of", None)
    shutil.rmtree(study / "run" / "tables")  # as of a run that was interrupted
    again = cn.depth(study / "run", settings=study / "depth.toml")
    pd.testing.assert_frame_equal(first.profile, again.profile)
    assert (study / "run" / "tables" / "depth_profile.csv").is_file()


def test_a_data_set_may_have_folds_of_its_own(study, tmp_path):
    copy, settings = tmp_path / "copy", tmp_path / "depth.toml"
    shutil.copytree(study / "run", copy)
    settings.write_text(SETTINGS.replace("[directions", "fold_by = { kutas1993 = 'subject' }\n[directions"))
    assert {entry["fold"] for entry in cn.depth(copy, settings=settings).entries} == {"item"}
    manifest = artifacts.read_json(copy / "manifest.json")
    artifacts.write_json(copy / "manifest.json", manifest | {"dataset": {"name": "kutas1993"}})
    (entry,) = cn.depth(copy, settings=settings).entries
    assert (entry["fold"], entry["n_items"]) == ("subject", entry["n_groups"]["subject"])


def test_the_command_says_where_it_wrote(study, capsys):
    done = clada(capsys, "depth", study / "run", "--settings", study / "depth.toml", "--jobs", 1)
    assert done.code == 0, done.err
    assert done.out.startswith("4 models: ")
    assert "largest |t|" in done.err


def test_run_with_depth_is_run_and_depth(study, tmp_path, monkeypatch):
    apart = cn.depth(study / "run", settings=study / "depth.toml")
    copy = tmp_path / "copy"
    shutil.copytree(study / "run", copy)
    settings = read_settings(study / "depth.toml")
    monkeypatch.setattr("clada_neuro.study.depth.read_settings", lambda: settings)
    page = run("demo", out=copy, limit=8, layers="9,29", formula=FORMULAS, jobs=1, depth=True)
    np.testing.assert_allclose(pd.read_csv(copy / "tables" / "depth_profile.csv")["t"], apart.profile["t"])
    assert "in place of surprisal" in page.read_text(encoding="utf-8")
    settings = replace(settings, folds=10)
    lines: list[str] = []
    asked = {"out": copy, "limit": 8, "layers": "9,29", "formula": FORMULAS, "jobs": 1}
    page = run("demo", **asked, depth=True, progress=lines.append)
    why = "no models by layer: 'item' has 8 levels, too few for 10 folds"
    assert any(f"note: {why}" in line for line in lines)
    assert why in html.unescape(page.read_text(encoding="utf-8"))  # and no longer what was found before
    assert not (copy / "tables" / "depth_profile.csv").exists()
    assert DepthRecord.read(copy / "depth.json").entries == []


def test_run_with_depth_is_refused_at_once_where_no_model_has_the_predictor(tmp_path, monkeypatch):
    monkeypatch.setattr("clada_neuro.study.one.study_one", None)
    with pytest.raises(DataError, match="no model of this analysis has 'surprisal_bits' for a layer's"):
        run("demo", out=tmp_path, limit=2, formula=FORMULAS[1], depth=True)


def test_wrong_requests_get_one_line(study, tmp_path):
    with pytest.raises(
        DataError, match="is not a folder; give one that `clada-neuro run --layers all` wrote to"
    ):
        cn.depth(tmp_path / "none")
    with pytest.raises(DataError, match=r"has no manifest\.json"):
        cn.depth(tmp_path)
    with pytest.raises(FitError, match="no measure by layer 'attention'"):
        cn.depth(study / "run", measures=["attention"])
    copy = tmp_path / "copy"
    shutil.copytree(study / "run", copy)
    settings = tmp_path / "other.toml"
    settings.write_text("measures = ['lens_rank']\nreplaces = 'cloze'\n")
    with pytest.raises(
        DataError,
        match="no model of this run has the predictor 'cloze' that another could replace: n400_uv is left out",
    ):
        cn.depth(copy, settings=settings)
    manifest = artifacts.read_json(copy / "manifest.json")
    artifacts.write_json(
        copy / "manifest.json", manifest | {"word_layers": {"layers": [], "missing": "no stream"}}
    )
    (copy / "word_layers.parquet").unlink()
    with pytest.raises(DataError, match="no measures by layer: no stream"):
        cn.depth(copy)
    del manifest["word_layers"]
    artifacts.write_json(copy / "manifest.json", manifest)
    with pytest.raises(DataError, match="give its run command again with --layers all"):
        cn.depth(copy)
    (copy / "models" / "one").mkdir(parents=True)
    with pytest.raises(DataError, match="compares language models; give the folder of one"):
        cn.depth(copy)
