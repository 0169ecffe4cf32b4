"""The whole way on the embedded model: stimuli, trace, simulated responses, fits, report; stop and go on."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import clada, start

from clada_neuro import artifacts
from clada_neuro.errors import DataError, StimulusError
from clada_neuro.instrument.trace import TraceStage
from clada_neuro.overview.stage import OverviewStage
from clada_neuro.reporting.build import ReportStage
from clada_neuro.responses.stage import AlignStage
from clada_neuro.stats.stages import FitStage, SynergyStage
from clada_neuro.study.run import run
from clada_neuro.tables import validate

needs_data = pytest.mark.skipif(
    not os.environ.get("CLADA_NEURO_DATA"), reason="CLADA_NEURO_DATA names no data sets"
)
FILES = ("tokens.parquet", "layers.parquet", "words.parquet", "trials.parquet",
         "fits.json", "synergy.json", "manifest.json", "report.html")  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "demo"
    run("demo", out=folder, limit=12)
    return folder


def test_every_file_is_written_and_every_table_keeps_its_contract(demo):
    assert {path.name for path in demo.iterdir()} >= set(FILES)
    for name in ("tokens", "layers", "words", "trials"):
        validate(artifacts.read_table(demo / f"{name}.parquet"), name)


def test_every_file_belongs_to_a_stage(demo):
    kinds = (TraceStage, AlignStage, FitStage, SynergyStage, OverviewStage, ReportStage)
    known = {path for kind in kinds for pattern in (*kind.files, *kind.parts) for path in demo.glob(pattern)}
    known |= {demo / "stimuli.parquet", demo / ".lock"}
    assert {path for path in demo.rglob("*") if path.is_file()} <= known


def test_tokens_add_up_to_words(demo):
    tokens = artifacts.read_table(demo / "tokens.parquet")
    words = artifacts.read_table(demo / "words.parquet")
    by_token = tokens.groupby("stimulus_id")["surprisal_bits"].sum()
    by_word = words.groupby("stimulus_id")["surprisal_with_punct_bits"].sum()
    np.testing.assert_allclose(by_word[by_token.index], by_token, rtol=1e-9)


def test_simulated_responses_are_called_simulated_everywhere(demo):
    manifest = artifacts.read_json(demo / "manifest.json")
    assert manifest["simulated"] is True
    assert manifest["analysis"] == {"kind": "data set", "name": "demo"}
    assert "SIMULATED" in manifest["simulation"]["description"]
    assert artifacts.read_table(demo / "trials.parquet")["simulated"].all()
    assert "<title>Simulated data" in (demo / "report.html").read_text(encoding="utf-8")


def test_fits_carry_direction_family_and_adjusted_p(demo):
    fits = artifacts.read_json(demo / "fits.json")
    assert [entry["response"] for entry in fits] == ["n400_uv", "p600_uv"]
    for entry in fits:
        assert set(entry["p_bh"]) == set(entry["directions"])
        assert entry["n_obs"] == artifacts.read_json(demo / "manifest.json")["joins"][0]["rows_after"]


def test_a_second_run_computes_nothing_again_and_gives_the_same(demo):
    before = {name: (demo / name).stat().st_mtime_ns for name in ("tokens.parquet", "synergy.json")}
    fits = artifacts.read_json(demo / "fits.json")
    run("demo", out=demo, limit=12)
    assert artifacts.read_json(demo / "fits.json") == fits
    assert {name: (demo / name).stat().st_mtime_ns for name in before} == before


def test_one_component_can_be_asked_for(demo):
    folder = demo.parent / "p600"
    run("demo", out=folder, limit=4, component="p600")
    assert [entry["response"] for entry in artifacts.read_json(folder / "fits.json")] == ["p600_uv"]
    assert not (folder / "synergy.json").exists()


def test_layers_are_measured_beside(tmp_path):
    run("demo", out=tmp_path, limit=2, component="p600", layers="every:15")
    layers = validate(artifacts.read_table(tmp_path / "word_layers.parquet"), "word_layers")
    assert layers["layer"].unique().tolist() == [14, 29]
    last = layers.query("layer == 29")["lens_surprisal_bits"]
    words = artifacts.read_table(tmp_path / "words.parquet")
    np.testing.assert_allclose(last, words["surprisal_bits"], rtol=0, atol=1e-4)


def test_layers_that_cannot_be_read_are_refused_before_the_model_is_loaded(tmp_path):
    with pytest.raises(DataError, match="layers 'last' given"):
        run("demo", out=tmp_path / "out", model="no/such-model", layers="last")
    with pytest.raises(DataError, match="dense traces"):
        run("demo", out=tmp_path / "out", model="no/such-model", layers="all", policy="griffin")


def test_a_pre_specified_analysis_is_followed_and_departures_are_named(tmp_path):
    path = tmp_path / "analysis.toml"
    random = "(1|subject) + (1|item) + (1|stimulus)"
    path.write_text(
        "title = 'Mine'\nexclusions = ['n400_uv > 15']\nlanguage_models = ['another']\n"
        f"[[model]]\nname = 'N400'\nformula = 'n400_uv ~ surprisal_bits + {random}'\n"
        f"[[model]]\nname = 'P600'\nformula = 'p600_uv ~ surprisal_bits + {random}'\n"
    )
    run("demo", model="smollm2", out=tmp_path / "out", limit=6, analysis=path, component="n400")
    manifest = artifacts.read_json(tmp_path / "out" / "manifest.json")
    trials = artifacts.read_table(tmp_path / "out" / "trials.parquet")
    (step,) = (found for found in manifest["exclusions"] if found["step"] == "pre-specified exclusion")
    assert step["rows_removed"] > 0
    assert step["rows_after"] == len(trials)
    assert trials["n400_uv"].max() <= 15
    assert manifest["analysis"] == {"kind": "file", "name": str(path)}
    assert any("'P600' was specified but not fitted" in line for line in manifest["departures"])
    assert any("'another' was specified but not used" in line for line in manifest["departures"])


INTERRUPTED = """
import os, signal
from clada_neuro.responses.stage import AlignStage
made = AlignStage.make
def interrupt(stage, folder):
    os.kill(os.getpid(), signal.SIGINT)
    return made(stage, folder)
AlignStage.make = interrupt
"""


def test_an_interrupt_keeps_what_was_finished_and_the_same_command_goes_on(tmp_path, capsys):
    command = ("run", "demo", "--limit", 6, "--out", tmp_path / "out")
    process = start(*command, prepared=INTERRUPTED)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 2, errors
    assert "Traceback" not in errors
    assert errors.strip().splitlines()[-1].startswith("clada-neuro: interrupted")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.parquet")}
    assert {path.stem for path in kept} == {"stimuli", "tokens", "layers", "words"}
    assert not list((tmp_path / "out").rglob("*.part"))
    assert clada(capsys, *command).code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} >= set(FILES)
    traced = [path for path in kept if path.stem != "stimuli"]
    assert [path.stat().st_mtime_ns for path in traced] == [kept[path] for path in traced]


def test_own_stimuli_and_trials(tmp_path, demo):
    words = artifacts.read_table(demo / "words.parquet")
    critical = words.loc[words["is_critical"]]
    stimuli = artifacts.read_table(demo / "stimuli.parquet")[
        ["item", "condition", "sentence", "critical_word"]
    ]
    stimuli.to_csv(tmp_path / "stimuli.csv", index=False)
    rng = np.random.default_rng(1)
    trials = pd.concat([critical[["item", "condition"]].assign(subject=f"s{k}") for k in range(12)])
    trials["n400_uv"] = trials["p600_uv"] = rng.normal(0, 5, len(trials))
    trials.loc[trials.index[:3], "item"] = "unknown"
    trials.to_csv(tmp_path / "trials.csv", index=False)
    run(tmp_path / "stimuli.csv", trials=tmp_path / "trials.csv", out=tmp_path / "out", component="n400")
    manifest = artifacts.read_json(tmp_path / "out" / "manifest.json")
    assert manifest["simulated"] is False
    assert manifest["joins"][0]["rows_removed"] == len(
        artifacts.read_table(tmp_path / "out" / "unmatched.parquet")
    )
    assert [entry["name"] for entry in artifacts.read_json(tmp_path / "out" / "fits.json")] == ["N400"]
    assert manifest["analysis"]["kind"] == "default"
    assert not any("P600" in line for line in manifest["departures"])  # nobody specified a model of it
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "No analysis file was given" in page
    assert "Nothing differs" not in page


def test_a_control_without_variance_is_left_out_of_the_default_analysis_and_named(tmp_path, demo, capsys):
    words = artifacts.read_table(demo / "words.parquet")
    nouns = words.loc[words["is_critical"], "word"].str.strip(".,").unique()
    stimuli = pd.DataFrame({"item": range(len(nouns)), "condition": "a", "critical_index": 3})
    stimuli["sentence"] = [f"They talked about {noun} all day." for noun in nouns]
    stimuli.to_csv(tmp_path / "stimuli.csv", index=False)
    trials = pd.concat([stimuli[["item", "condition"]].assign(subject=f"s{k}") for k in range(6)])
    trials["n400_uv"] = np.random.default_rng(1).normal(0, 5, len(trials))
    trials.to_csv(tmp_path / "trials.csv", index=False)
    own = ("run", tmp_path / "stimuli.csv", "--trials", tmp_path / "trials.csv", "--index-base", 0)
    done = clada(capsys, *own, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    (fitted,) = artifacts.read_json(tmp_path / "out" / "fits.json")
    assert "position" not in fitted["formula"]
    assert "entropy_bits" not in fitted["formula"]  # nor does what is expected, after the same words
    departed = artifacts.read_json(tmp_path / "out" / "manifest.json")["departures"]
    for name in ("position", "entropy_bits"):
        assert f"{name} has one value in all trials: left out of models and synergy" in departed
        assert f"departs from the built-in default: {name} has one value" in done.err
    assert "(1|stimulus)" not in fitted["formula"]  # every item has one text
    assert any("(1|stimulus) left out" in line and "as item does" in line for line in departed)
    assert any("zipf_frequency + position" in line and "specified" in line for line in departed)
    analysis = tmp_path / "analysis.toml"
    analysis.write_text(
        'title = "t"\n[[model]]\nname = "N400"\nformula = "n400_uv ~ surprisal_bits + position + (1|subject)"\n'
    )
    done = clada(capsys, *own, "--analysis", analysis, "--out", tmp_path / "decided")
    assert (done.code, "'position' cannot be z-scored" in done.complaint) == (2, True)


@pytest.mark.parametrize(
    ("given", "decided", "language"),
    [(None, "", "en"), (None, "nl", "nl"), ("de", "nl", "de"), ("xx", "", None)],
)
def test_the_language_is_the_one_given_else_the_analysis_own(tmp_path, monkeypatch, given, decided, language):
    def stop(setting, *_):
        raise InterruptedError(setting.language)

    monkeypatch.setattr("clada_neuro.study.one.trace_by", stop)
    (tmp_path / "stimuli.csv").write_text("item,condition,sentence,critical_word\n1,a,De man sliep.,man\n")
    rows = [f"{who},1,a,{value}\n" for who in "pq" for value in (0.5, 1.5, 2.5)]
    (tmp_path / "trials.csv").write_text("subject,item,condition,n400_uv\n" + "".join(rows))
    (tmp_path / "analysis.toml").write_text(
        f'title = "t"\nlanguage = "{decided}"\n[[model]]\nname = "m"\nformula = "n400_uv ~ 1 + (1|subject)"\n'
    )
    stopped, message = (
        (InterruptedError, language) if language else (StimulusError, "no word frequencies for .*'xx'")
    )
    with pytest.raises(stopped, match=message):
        run(
            tmp_path / "stimuli.csv",
            trials=tmp_path / "trials.csv",
            analysis=tmp_path / "analysis.toml",
            language=given,
            out=tmp_path / "out",
        )


@pytest.mark.slow
@needs_data
def test_nieuwland_reproduces_lme4(tmp_path):
    run("nieuwland2018", out=tmp_path)
    fits = {entry["name"]: entry for entry in artifacts.read_json(tmp_path / "fits.json")}
    check, honest = (fits[name]["coefficients"]["cloze"] for name in ("cloze, engine check", "cloze, ML"))
    assert fits["cloze, ML"]["n_obs"] == 25_322
    assert fits["cloze, ML"]["n_groups"] == {"subject": 334, "item": 79, "stimulus": 158}
    assert (check["estimate"], check["t"]) == (
        pytest.approx(0.9145, abs=1e-3),
        pytest.approx(15.465, abs=1e-2),
    )
    assert (honest["estimate"], honest["t"]) == (
        pytest.approx(0.8931, abs=1e-3),
        pytest.approx(9.902, abs=1e-2),
    )
    assert fits["cloze, ML"]["loglik"] == pytest.approx(-92070.78, abs=0.01)


@pytest.mark.slow
@needs_data
def test_frank_has_its_rows_and_a_negative_surprisal_effect(tmp_path):
    run("frank2015", out=tmp_path)
    (entry,) = artifacts.read_json(tmp_path / "fits.json")
    assert entry["n_obs"] == 32_033
    assert entry["n_groups"]["item"] == 1_487
    assert entry["coefficients"]["surprisal_bits"]["estimate"] < 0
    assert "None" in set(artifacts.read_table(tmp_path / "words.parquet")["word"])
