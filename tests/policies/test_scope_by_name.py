"""Scope ``all`` on the command line and by name: what is left out, what is printed, and which line tells what is wrong."""

import math
import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from command_line import clada
from tiny_models import tiny_checkpoint

import clada_neuro as cn
from clada_neuro.artifacts import read_json, read_table
from clada_neuro.bench import decode_speed
from clada_neuro.bench.alone import Host
from clada_neuro.calibration import search, texts
from clada_neuro.errors import CalibrationError, ModelError
from clada_neuro.evaluation import evaluate as evaluation
from clada_neuro.evaluation.encoding import encode_pair
from clada_neuro.evaluation.score_table import markdown
from clada_neuro.evaluation.summary import long_rows, summarise
from clada_neuro.evaluation.tasks import Item
from clada_neuro.instrument.under_policy import LEAST_PREFIX
from clada_neuro.models.families import FAMILIES
from clada_neuro.runtime.scoring import score


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A checkpoint, and calibrations of both scopes made on the command line."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (texts, search):
            patch.setattr(module, "LENGTH", 64)
        folder = tmp_path_factory.mktemp("desk")
        tiny_checkpoint(folder / "model")
        chance = random.Random(0)
        for number in range(40):
            words = (f"w{chance.randint(3, 96)}" for _ in range(90))
            (folder / f"text{number}.txt").write_text(" ".join(words), encoding="utf-8")
        yield folder


@pytest.fixture(scope="module")
def files(desk):
    with pytest.MonkeyPatch.context() as patch:
        for module in (texts, search):
            patch.setattr(module, "LENGTH", 64)
        model = cn.load_model(desk / "model")
        documents = [path.read_text(encoding="utf-8") for path in sorted(desk.glob("text*.txt"))]
        for scope in ("ffn", "all"):
            search.calibrate(
                model, documents, desk / f"{scope}.safetensors", scope=scope, tokens=64 * 40, progress=False
            )
    return desk


def test_calibrate_writes_a_file_of_the_scope_and_names_its_share(desk, capsys, monkeypatch):
    for module in (texts, search):
        monkeypatch.setattr(module, "LENGTH", 64)
    given = [part for path in sorted(desk.glob("text*.txt")) for part in ("--text", path)]
    out = desk / "command.safetensors"
    done = clada(
        capsys, "calibrate", "--model", desk / "model", *given, "--scope", "all", "--tokens", 64 * 40,
        "--threads", 1, "--out", out,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "linear_sparsity 0.4" in done.out
    assert "ffn_sparsity" not in done.out


def test_generate_leaves_out_rows_of_attention_and_says_how_many(files, capsys):
    done = clada(
        capsys, "generate", "w3 w4 w5", "--model", files / "model", "--scope", "all", "--calibration",
        files / "all.safetensors", "--max-new-tokens", 12, "--compare-dense",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "[clada: linear sparsity 0." in done.out
    assert ", FFN sparsity 0." in done.out
    assert "[dense: FFN sparsity 0.000" in done.out
    model = cn.load_model(files / "model")
    (found,) = cn.generate(
        model, "w3 w4 w5", "clada", scope="all", calibration=files / "all.safetensors", max_new_tokens=12
    )
    assert len(found.linear_sparsity) == len(found.ffn_sparsity)
    assert 0.2 < sum(found.linear_sparsity) / len(found.linear_sparsity) < 0.6
    assert "linear_sparsity" in found.tokens()
    (narrow,) = cn.generate(
        model, "w3 w4 w5", "clada", calibration=files / "ffn.safetensors", max_new_tokens=4
    )
    assert narrow.linear_sparsity == []
    assert "linear_sparsity" not in narrow.tokens()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--scope", "all", "--calibration", "ffn"), "was made for scope ffn, scope all asked for; give --scope ffn"),
        (("--calibration", "all"), "was made for scope all, scope ffn asked for; give --scope all"),
        (("--scope", "all"), "no calibration of scope all ships for model"),
        (("--scope", "all", "--calibration", "all", "--policy", "griffin"), "policy 'griffin' leaves attention dense"),
        (("--scope", "all", "--calibration", "all", "--sparsity", "0.9"), "this calibration reaches 0 to"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(files, capsys, options, line):
    given = [files / f"{part}.safetensors" if part in ("ffn", "all") and before == "--calibration" else part
             for before, part in zip(("", *options), options, strict=False)]  # fmt: skip
    done = clada(capsys, "generate", "w3", "--model", files / "model", *given)
    assert done.code == 2
    assert line in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_model_without_maps_of_attention_that_are_known_is_one_line(files, capsys, monkeypatch):
    monkeypatch.setitem(FAMILIES, "llama", replace(FAMILIES["llama"], out="output_map"))
    given = ("--model", files / "model", "--calibration", files / "all.safetensors", "--scope", "all")
    done = clada(capsys, "generate", "w3", *given)
    assert done.code == 2
    assert "layer 0 has no maps q_proj, k_proj, v_proj and output_map of attention" in done.complaint
    assert "leave attention dense (scope ffn)" in done.complaint
    assert len(done.err.strip().splitlines()) == 1
    of_blocks = ("--model", files / "model", "--calibration", files / "ffn.safetensors")
    assert clada(capsys, "generate", "w3", *of_blocks, "--max-new-tokens", 4).code == 0


@pytest.fixture
def sentences(tmp_path):
    path = tmp_path / "sentences.csv"
    rows = [f"{item},{condition},w3 w4 w9 w{item} *{word}* w8" for item in range(1, 5)
            for condition, word in (("a", "w5"), ("b", "w7"))]  # fmt: skip
    path.write_text("\n".join(["item,condition,sentence", *rows]), encoding="utf-8")
    return path


def test_a_trace_measures_what_was_not_read_of_all_linear_weights(files, sentences, capsys, tmp_path):
    given = ("--model", files / "model", "--policy", "clada")
    whole = ("--scope", "all", "--calibration", files / "all.safetensors")
    assert clada(capsys, "trace", sentences, *given, *whole, "--out", tmp_path / "all").code == 0
    tables = {
        name: read_table(tmp_path / "all" / f"{name}.parquet") for name in ("tokens", "layers", "words")
    }
    model = cn.load_model(files / "model")
    policy = cn.policy(model, "clada", scope="all", calibration=files / "all.safetensors")
    for name, tokens in tables["tokens"].groupby("stimulus_id"):
        ids = [model.start_token_id, *tokens["token_id"]]
        found = score(model.model, policy, [ids], prefix=LEAST_PREFIX)[0]
        layers = tables["layers"][tables["layers"]["stimulus_id"] == name]
        for column, share in (("linear_sparsity", found.sparsity), ("ffn_sparsity", found.ffn_sparsity)):
            expected = share[1:].mean(-1).numpy()
            np.testing.assert_allclose(tokens[column], expected, atol=1e-6)
            by_layer = layers.pivot_table(column, "token_index", "layer").to_numpy()
            np.testing.assert_allclose(by_layer, share[1:].numpy(), atol=1e-6)
        assert tokens["linear_sparsity"].iloc[-1] > 0.1
        assert not np.allclose(tokens["linear_sparsity"], tokens["ffn_sparsity"])
    words = tables["words"].query("word_index == 4")
    assert words["linear_sparsity"].between(0.05, 0.9).all()
    assert read_json(tmp_path / "all" / "manifest.json")["policy"]["scope"] == "all"

    narrow = ("--calibration", files / "ffn.safetensors")
    assert clada(capsys, "trace", sentences, *given, *narrow, "--out", tmp_path / "ffn").code == 0
    assert "linear_sparsity" not in read_table(tmp_path / "ffn" / "tokens.parquet")
    assert read_json(tmp_path / "ffn" / "manifest.json")["policy"]["scope"] == "ffn"


def test_a_dense_trace_takes_the_thresholds_of_the_scope(files, sentences, capsys, tmp_path):
    whole = ("--scope", "all", "--calibration", files / "all.safetensors")
    given = ("--model", files / "model", *whole, "--sparsity", "0.3")
    assert clada(capsys, "trace", sentences, *given, "--out", tmp_path / "dense").code == 0
    manifest = read_json(tmp_path / "dense" / "manifest.json")
    assert manifest["neuron_sparsity"]["linear_sparsity"] == 0.3
    assert read_table(tmp_path / "dense" / "tokens.parquet")["neuron_sparsity"].notna().any()
    assert "linear_sparsity" not in read_table(tmp_path / "dense" / "tokens.parquet")


def test_a_study_under_a_policy_of_all_linear_weights_says_so(files, sentences, capsys, tmp_path):
    stimuli = pd.read_csv(sentences)
    chance = random.Random(2)
    trials = [
        f"{subject},{row.item},{row.condition},{chance.gauss(300, 40):.1f}"
        for subject in range(6) for row in stimuli.itertuples()
    ]  # fmt: skip
    path = tmp_path / "trials.csv"
    path.write_text("\n".join(["subject,item,condition,rt_ms", *trials]), encoding="utf-8")
    whole = ("--policy", "clada", "--scope", "all", "--calibration", files / "all.safetensors")
    formula = ("--formula", "rt_ms ~ surprisal_bits + linear_sparsity + (1 | subject)")
    given = ("--model", files / "model", *whole, "--trials", path, *formula, "--out", tmp_path / "run")
    done = clada(capsys, "run", sentences, *given)
    assert done.code == 0, done.err
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "Part of the linear weights was not read" in page
    assert "Linear sparsity realized" in page
    assert "FFN sparsity realized" not in page
    assert "under the policy clada, which left out part of the linear weights" in page
    manifest = read_json(tmp_path / "run" / "manifest.json")
    assert manifest["calibration"]["file"] == "all.safetensors"
    lacking = clada(
        capsys, "run", sentences, *given[:2], "--trials", path, *formula, "--out", tmp_path / "dense"
    )
    assert lacking.code == 2
    assert "no column 'linear_sparsity'" in lacking.complaint


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--policy", "clada", "--calibration", "all"), "was made for scope all, scope ffn asked for; give --scope all"),
        (("--policy", "clada", "--scope", "all", "--calibration", "ffn"), "was made for scope ffn, scope all asked for"),
        (("--policy", "griffin", "--scope", "all"), "policy 'griffin' leaves attention dense"),
        (("--policy", "clada", "--scope", "all"), "no calibration of scope all ships for model"),
    ],
)  # fmt: skip
def test_a_trace_of_another_scope_is_one_line(files, sentences, capsys, tmp_path, options, line):
    given = [files / f"{part}.safetensors" if before == "--calibration" else part
             for before, part in zip(("", *options), options, strict=False)]  # fmt: skip
    done = clada(capsys, "trace", sentences, "--model", files / "model", *given, "--out", tmp_path / "traced")
    assert done.code == 2
    assert line in done.complaint
    assert len(done.err.strip().splitlines()) == 1


def test_decoding_is_timed_with_a_calibration_of_the_scope_alone(files, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(decode_speed, "Alone", Host)
    given = ("--model", files / "model", "--tokens", 2, "--rounds", 1, "--json", tmp_path / "rows.json")
    for scope, other in (("all", "ffn"), ("ffn", "all")):
        file = files / f"{other}.safetensors"
        done = clada(capsys, "bench", "decode", *given, "--calibration", file, "--scope", scope)
        assert done.code == 2
        assert f"was made for scope {other}, scope {scope} asked for; give --scope {other}" in done.complaint
    asked = ("--calibration", files / "all.safetensors", "--scope", "all")
    done = clada(capsys, "bench", "decode", *given, *asked, "--sparsity", "0.95")
    assert done.code == 2
    assert "sparsity 0.95 asked for, " in done.complaint
    assert " reaches 0 to " in done.complaint


def test_a_policy_that_is_made_takes_no_scope(files):
    model = cn.load_model(files / "model")
    with pytest.raises(ModelError, match="scope given with a policy that is made already"):
        cn.generate(model, "w3", cn.policy(model, "dense"), scope="all")
    with pytest.raises(CalibrationError, match="made for scope ffn"):
        cn.policy(model, calibration=files / "ffn.safetensors", scope="all")


def test_evaluate_scores_under_the_scope_and_names_both_shares(files, tmp_path, monkeypatch):
    chance = random.Random(1)

    def said(count: int) -> str:
        return " ".join(f"w{chance.randint(3, 96)}" for _ in range(count))

    items = [Item.choice(said(12), [said(3), said(3)], number % 2) for number in range(6)]
    monkeypatch.setattr(evaluation, "cache_folder", lambda *parts: tmp_path)
    monkeypatch.setattr(evaluation, "load_items", lambda task: items)
    model, file = cn.load_model(files / "model"), files / "all.safetensors"
    names = ["dense", "clada", "teal"]
    found = evaluation.evaluate(model, ["piqa"], names, calibration=file, scope="all")
    teal = cn.policy(model, "teal", scope="all", calibration=file)
    for row in found[found["policy"] == "teal"].itertuples():
        item = items[row.item]
        for answer, log_prob in zip(item.answers, row.log_probs, strict=True):
            before, after = encode_pair(model.tokenizer, item.contexts[0], f" {answer}")
            ids = [model.start_token_id, *before, *after]
            result = score(model.model, teal, [ids], prefix=len(before))[0]
            expected = -float(result.surprisal_bits[-len(after) :].double().sum()) * math.log(2)
            assert log_prob == pytest.approx(expected, abs=1e-3)
    sparse = found[found["policy"] != "dense"]
    assert sparse["linear_sparsity"].between(0.1, 0.8).all()
    assert found.loc[found["policy"] == "dense", "linear_sparsity"].isna().all()
    summary = summarise(found)
    assert (summary.loc[summary["policy"] == "dense", "linear_sparsity"] == 0).all()
    assert "| linear sparsity | FFN sparsity |" in markdown(summary)
    assert all("linear_sparsity" in row for row in long_rows(summary))
    with pytest.raises(CalibrationError, match="policy 'cats' leaves attention dense"):
        evaluation.evaluate(model, ["piqa"], ["dense", "cats"], calibration=file, scope="all")
    narrow = evaluation.evaluate(model, ["piqa"], ["dense", "clada"], calibration=files / "ffn.safetensors")
    assert "linear_sparsity" not in narrow
    assert "| FFN sparsity |" in markdown(summarise(narrow))
