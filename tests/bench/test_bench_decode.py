"""The decode benchmark: what its numbers mean, checked on engines of known speed and on a tiny model."""

import json
import os
import runpy
import time
from pathlib import Path

import gguf
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from command_line import clada
from tiny_language import tiny_language
from tiny_models import tiny_model

import clada_neuro.bench.alone as alone
import clada_neuro.bench.decode_speed as bench
import clada_neuro.bench.subjects as subjects
from clada_neuro.bench.alone import Host
from clada_neuro.bench.engines import DecodeEngine, Peer, Run, Transformers, weight_bytes
from clada_neuro.bench.peers import LlamaCpp, write_gguf
from clada_neuro.bench.streaming import WeightStream, _combined, _read
from clada_neuro.bench.subjects import LLAMA_7B, PASSAGE, TimedModel, quantile_policies, random_llama
from clada_neuro.cli.bench import command
from clada_neuro.errors import ModelError
from clada_neuro.models.registry import ffn_layers
from clada_neuro.runtime.policy import attention_reads

IDS = torch.randint(3, 97, (40,), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model():
    return tiny_model("llama")


def speaking():
    """Return a tiny model with a tokenizer that makes more tokens of the passage than the model has places for."""
    language_model = tiny_language()
    language_model.model.config.max_position_embeddings = 512
    return language_model


class Known(DecodeEngine):
    """An engine that takes the given seconds for a token, slower by a quarter every second round."""

    def __init__(self, engine: str, policy: str, seconds: float, sparsity: float = 0.0) -> None:
        super().__init__(engine, policy, "float32")
        self.seconds, self.sparsity, self.rounds = seconds, sparsity, 0

    def decode(self, prompt, tokens):
        self.rounds += 1
        slow = 1.25 if self.rounds % 2 else 1.0
        return Run([self.seconds * slow] * tokens, ffn_sparsity=self.sparsity)


def test_ratios_are_taken_within_rounds_against_the_faster_dense_loop():
    engines = [
        Known("transformers", "dense", 0.4),
        Known("pytorch", "dense", 0.2),
        Known("compiled", "dense", 0.1),
        Known("compiled", "clada", 0.08, sparsity=0.5),
    ]
    runs, _ = bench._interleave(engines, [], IDS.tolist(), 5, 4, lambda line: None)
    assert [len(own) for own in runs] == [4] * 4
    rates = {(name, "float32"): 2e-5 for name in ("transformers", "pytorch", "compiled")}
    weights = {"float32": (600, 400)}
    rows = pd.DataFrame(bench._rows(engines, runs, "float32", weights, rates)).set_index(["engine", "policy"])
    assert rows["ratio_vs_dense"].tolist() == pytest.approx([0.25, 0.5, 1.0, 1.25])
    assert rows["ratio_low"].tolist() == pytest.approx(rows["ratio_high"].tolist())
    assert rows.loc[("compiled", "dense"), "tokens_per_s"] == pytest.approx((10 + 8) / 2)
    assert rows["ceiling"].tolist() == pytest.approx([1, 1, 1, 1000 / 700])
    assert rows["read_mb"].tolist() == pytest.approx([0.001, 0.001, 0.001, 0.0007])
    # 9 tokens a second of 1000 bytes, of 20,000 bytes a second
    assert rows.loc[("compiled", "dense"), "stream_share"] == pytest.approx(9 * 1000 / 20_000)


def test_blocks_are_compared_with_blocks_whatever_stands_beside_them():
    engines = [
        replace_dtype(Known("compiled", "dense", 0.04), "bfloat16"),
        replace_dtype(Known("compiled", "dense", 0.1), "q8_0"),
        replace_dtype(Known("compiled", "clada", 0.08, sparsity=0.5), "q8_0"),
        Peer("llama.cpp", "dense", "float16", Answers(0.01), 500),
        Peer("llama.cpp", "dense", "Q8_0", Answers(0.2), 250),
    ]
    runs, _ = bench._interleave(engines, [], IDS.tolist(), 5, 4, lambda line: None)
    weights = {"bfloat16": (300, 200), "q8_0": (150, 100)}
    rates = {("compiled", "bfloat16"): 1e-5, ("compiled", "q8_0"): 2e-5}
    rows = pd.DataFrame(bench._rows(engines, runs, "q8_0", weights, rates))
    assert rows["ratio_vs_dense"][:3].tolist() == pytest.approx([2.5, 1.0, 1.25])
    assert rows["read_mb"].tolist() == pytest.approx([5e-4, 2.5e-4, 1.75e-4, 5e-4, 2.5e-4])
    assert rows["ceiling"].tolist() == pytest.approx([1, 1, 250 / 175, 1, 1])
    assert rows["stream_gb_s"].tolist() == [1e-5, 2e-5, 2e-5, 2e-5, 2e-5]


def replace_dtype(engine: DecodeEngine, dtype: str) -> DecodeEngine:
    engine.dtype = dtype
    return engine


class Answers:
    """A peer that takes the given seconds for a token."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def decode(self, prompt, tokens):
        return {"seconds": [self.seconds] * tokens, "peak_memory_mb": 7.0}


def test_dense_is_the_fastest_dense_engine_of_the_same_width_peers_included():
    engines = [
        Known("compiled", "dense", 0.1),
        Known("compiled", "clada", 0.08, sparsity=0.5),
        Peer("llama.cpp", "dense", "float32", Answers(0.05), 1000),
        Peer("llama.cpp", "dense", "Q8_0", Answers(0.02), 300),
    ]
    runs, _ = bench._interleave(engines, [], IDS.tolist(), 5, 4, lambda line: None)
    weights, rates = {"float32": (600, 400)}, {("compiled", "float32"): 1e-5}
    rows = pd.DataFrame(bench._rows(engines, runs, "float32", weights, rates))
    # Of rounds that take 1 and 1.25 times as long, against a peer that always takes as long.
    assert rows["ratio_vs_dense"].tolist() == pytest.approx([0.45, 0.5625, 1.0, 2.5])
    assert rows["read_mb"].tolist() == pytest.approx([0.001, 0.0007, 0.001, 0.0003])
    assert rows["stream_share"][3] == pytest.approx(50 * 300 / 10_000)  # the fastest rate that was seen


def test_the_streaming_rate_is_of_every_byte_of_the_weights(model):
    stream = WeightStream(model)
    assert sum(words.nbytes for words in stream._arrays) == sum(
        w.nbytes for w in model.parameters() if w.dim() == 2
    )
    expected = [np.bitwise_xor.reduce(words) for words in stream._arrays]
    assert [_combined(words) for words in stream._arrays] == expected
    assert _read(stream._arrays) == np.bitwise_xor.reduce(expected)
    stream.measure()
    assert np.isnan(stream.gb_s)  # the first call compiles
    stream.measure()
    assert stream.gb_s > 0


def test_the_streaming_rate_is_a_limit_and_no_slow_loop():
    """A loop of one word at a time, or threads that meet at every array, would set the limit below what engines reach."""
    layer = torch.nn.Sequential(*(torch.nn.Linear(512, 512) for _ in range(100)))
    layer.device = torch.device("cpu")
    stream = WeightStream(layer)
    words = np.concatenate(stream._arrays)
    plain = []
    for _ in range(6):
        stream.measure()
        began = time.perf_counter()
        np.bitwise_xor.reduce(words)
        plain.append(words.nbytes / (time.perf_counter() - began) / 1e9)
    assert max(stream.rates[1:]) > 0.3 * max(plain)


def test_weight_bytes_count_the_head_once_and_no_embedding(model):
    blocks, others = weight_bytes(model)
    # Rows are padded to cache lines: 24 and 52 float32 numbers are 96 and 208 bytes, held in 128 and 256.
    assert blocks == 2 * 3 * 52 * 128
    attention = 24 * 24 + 2 * 12 * 24 + 24 * 24
    assert others == 4 * (2 * (attention + 2 * 24) + 24 + 97 * 24)


@pytest.fixture
def tiny_subject(monkeypatch):
    """All engines in this process, on a tiny model that has a tokenizer and no calibration."""
    language_model = speaking()
    prompt = language_model.tokenizer(PASSAGE, return_tensors="pt").input_ids[0]
    subject = TimedModel(language_model.model, prompt, language_model)

    def policies(asked, calibration, tokens, scope="ffn"):
        load = torch.linspace(-1, 1, 9)
        tables = [quantile_policies(subject.model, s, prompt, load, scope) for s in asked]
        return [policy for table in tables for policy in table.values()], "quantiles"

    object.__setattr__(subject, "policies", policies)
    monkeypatch.setattr(alone, "find_subject", lambda *_: subject)
    monkeypatch.setattr(bench, "_STARTED_AT_ONCE", 1)  # threads of one process share the subject
    monkeypatch.setattr(bench, "Alone", Host)
    return subject.model


@pytest.mark.parametrize("setting", ["PASSIVE", None])
def test_a_table_says_how_threads_waited(tiny_subject, monkeypatch, setting):
    if setting:
        monkeypatch.setenv("OMP_WAIT_POLICY", setting)
    else:
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    table = bench.bench_decode("tiny", sparsities=(0.4,), tokens=2, rounds=1)
    assert set(table["wait_policy"]) == {setting or "not set"}


def test_every_engine_and_policy_has_a_row_with_its_realised_sparsity(tiny_subject):
    table = bench.bench_decode("tiny", sparsities=(0.4,), tokens=6, rounds=2)
    policies = ["dense", "dense", "dense", "clada", "griffin", "teal", "wina", "dense", "clada"]
    assert table["policy"].tolist() == policies
    assert table["engine"].tolist() == [
        "transformers",
        "pytorch",
        *["compiled"] * 5,
        *["cn.generate"] * 2,
    ]
    dense = table["policy"] == "dense"
    assert (table.loc[dense, "ffn_sparsity"] == 0).all()
    assert table.loc[~dense, "ffn_sparsity"].between(0.3, 0.5).all()
    assert table["peak_memory_mb"].gt(0).all()
    assert (table["tokens_per_s_low"] <= table["tokens_per_s_high"]).all()
    assert table["tokens_per_s"].gt(0).all()


def test_in_scope_all_rows_of_attention_are_left_out_and_bytes_count_over_all_linear_weights(
    tiny_subject, model
):
    table = bench.bench_decode("tiny", sparsities=(0.4,), tokens=6, rounds=2, scope="all")
    assert table["policy"].tolist() == ["dense"] * 3 + ["clada", "teal", "wina", "dense", "clada"]
    under = table[table["policy"] != "dense"]
    assert under["linear_sparsity"].between(0.25, 0.5).all()
    sites = [f"{site}_dropped" for site in ("input", "hidden", "qkv", "out")]
    assert under.loc[under["engine"] == "compiled", sites].gt(0.1).all(axis=None)
    linear, others = weight_bytes(model, "all")
    assert weight_bytes(model)[0] + attention_reads(ffn_layers(model)[0].attention).total * 2 == linear
    assert others == 4 * (2 * 2 * 24 + 24 + 97 * 24)
    left = under.iloc[0]
    size = table["read_mb"].iloc[0] * 1e6
    assert left["ceiling"] == pytest.approx(size / (left["read_mb"] * 1e6))
    assert size - left["read_mb"] * 1e6 == pytest.approx(
        left["linear_sparsity"] * weight_bytes(tiny_subject, "all")[0]
    )


def test_a_scope_that_cannot_be_timed_is_one_clear_line(monkeypatch):
    with pytest.raises(ModelError, match="scope 'attention' given, ffn or all expected"):
        bench.bench_decode("tiny", scope="attention")
    monkeypatch.setattr(bench, "find_device", lambda name: torch.device("cuda"))
    with pytest.raises(ModelError, match=r"scope all is timed on the CPU only, .* use --scope ffn"):
        bench.bench_decode("tiny", device="cuda", scope="all")


def test_blocks_have_rows_beside_dense_ones_of_wider_weights(monkeypatch):
    """A shape with random weights: dense in three widths, and what the step follows in blocks."""
    shape = (64, 96, 2, 4, 2)
    monkeypatch.setitem(subjects.SHAPES, "tiny-random", shape)
    monkeypatch.setattr(bench, "Alone", Host)
    table = bench.bench_decode("tiny-random", dtype="q8_0", sparsities=(0.4,), tokens=4, rounds=1)
    assert table["engine"].unique().tolist() == ["compiled"]
    found = list(zip(table["dtype"], table["policy"], strict=True))
    policies = ["dense", "clada", "teal", "wina"]
    assert found == [("float32", "dense"), ("bfloat16", "dense"), *(("q8_0", name) for name in policies)]
    read = table.loc[table["policy"] == "dense"].set_index("dtype")["read_mb"]
    assert read["bfloat16"] == pytest.approx(read["float32"] / 2)
    assert read["q8_0"] == pytest.approx(read["float32"] * 34 / 128, rel=0.01)  # norms stay float32
    assert table["ffn_sparsity"][3:].between(0.25, 0.5).all()
    whole = bench.bench_decode(
        "tiny-random", dtype="q8_0", sparsities=(0.4,), tokens=4, rounds=1, scope="all"
    )
    assert whole["linear_sparsity"][3:].between(0.25, 0.5).all()


def test_every_width_is_compared_with_its_own_dense_rows(monkeypatch):
    monkeypatch.setitem(subjects.SHAPES, "tiny-random", (64, 96, 2, 4, 2))
    monkeypatch.setattr(bench, "Alone", Host)
    table = bench.bench_decode("tiny-random", dtype="each", sparsities=(0.4,), tokens=2, rounds=1)
    widths = ["float32", "bfloat16", "q8_0", "q4_1"]
    found = list(zip(table["dtype"], table["policy"], strict=True))
    assert found == [(width, policy) for width in widths for policy in ("dense", "clada")]
    assert table.loc[table["policy"] == "dense", "ratio_vs_dense"].tolist() == [1] * 4
    engines = [
        replace_dtype(Known("compiled", "dense", 0.1), "q4_1"),
        Peer("llama.cpp", "dense", "Q4_1", Answers(0.05), 9),
    ]
    runs, _ = bench._interleave(engines, [], IDS.tolist(), 5, 4, lambda line: None)
    rows = pd.DataFrame(bench._rows(engines, runs, "each", {"q4_1": (6, 4)}, {}))
    assert rows["ratio_vs_dense"].tolist() == pytest.approx([0.45, 1])


def test_blocks_on_a_gpu_are_one_clear_line(monkeypatch):
    monkeypatch.setattr(bench, "find_device", lambda name: torch.device("cuda"))
    with pytest.raises(ModelError, match="q8_0 is timed on the CPU only; use --dtype bfloat16"):
        bench.bench_decode("tiny", dtype="q8_0", device="cuda")


def test_the_engines_of_a_gpu_have_their_rows_too(tiny_subject, monkeypatch):
    pytest.importorskip("clada_neuro.runtime.kernels.cuda", reason="needs Triton", exc_type=ModelError)
    if torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("interprets the kernels on the CPU")
    monkeypatch.setitem(bench.ENGINES, "cpu", bench.ENGINES["cuda"])
    table = bench.bench_decode("tiny", sparsities=(0.4,), tokens=4, rounds=1)
    assert table["engine"].tolist() == ["transformers", "pytorch", "pytorch graph", *["triton"] * 5]
    assert (table["ffn_sparsity"][:4] == 0).all()
    assert table["ffn_sparsity"][4:].between(0.3, 0.5).all()
    fastest = table[1:4].set_index("engine")["tokens_per_s"].idxmax()
    assert float(table.set_index(["engine", "policy"]).loc[(fastest, "dense"), "ratio_vs_dense"]) == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_one_clear_line(capsys, tmp_path, monkeypatch):
    done = clada(capsys, "bench", "decode", "--device", "cuda", "--json", tmp_path / "decode.json")
    assert (done.code, done.out) == (2, "")
    assert "device 'cuda' cannot be used here" in done.complaint
    script = Path(__file__).parents[2] / "analyses" / "03_decode_speed.py"
    monkeypatch.syspath_prepend(script.parent)
    monkeypatch.setattr(
        "sys.argv", [str(script), "llama-7b-random", "--dtype", "bfloat16", "--device", "cuda"]
    )
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().err.count("\n") == 1


def test_the_seven_billion_shape_is_that_of_llama():
    model = random_llama(LLAMA_7B, torch.bfloat16, torch.device("meta"))
    assert sum(weight.numel() for weight in model.parameters()) == 6_738_415_616  # LLaMA-7B


def test_generate_is_timed_for_every_token_after_the_first(model):
    run = Transformers("transformers", "dense", "float32", model).decode(IDS, 5)
    assert len(run.seconds) == 5
    assert run.prefill_seconds > 0


def test_the_command_writes_the_rows_and_prints_a_table(tiny_subject, tmp_path):
    out = tmp_path / "deep" / "decode.json"
    done = CliRunner().invoke(
        command, ["decode", "--sparsity", "0.4", "--tokens", "2", "--rounds", "1", "--json", str(out)]
    )
    assert done.exit_code == 0, done.output
    rows = json.loads(out.read_text())
    assert {
        "model",
        "engine",
        "policy",
        "dtype",
        "device",
        "ffn_sparsity",
        "tokens_per_s",
        "ratio_vs_dense",
        "ceiling",
    } <= set(rows[0])
    assert "griffin" in done.output


def test_a_gguf_copy_holds_the_weights(model, tmp_path):
    path = tmp_path / "tiny.gguf"
    read = write_gguf(model, path, "float32")
    assert read == 4 * sum(weight.numel() for weight in model.parameters()) - 4 * 97 * 24
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}
    state = model.state_dict()
    assert len(tensors) == len(state)
    torch.testing.assert_close(
        torch.tensor(tensors["blk.1.ffn_down.weight"]), state["model.layers.1.mlp.down_proj.weight"]
    )
    query = state["model.layers.0.self_attn.q_proj.weight"]
    # Heads of size 6: rows 0 and 3 of a head, which are rotated together, become neighbours.
    torch.testing.assert_close(torch.tensor(tensors["blk.0.attn_q.weight"])[:2], query[[0, 3]])


def test_a_peer_that_is_not_installed_is_one_clear_line(model, tmp_path):
    path = tmp_path / "tiny.gguf"
    write_gguf(model, path, "float32")
    with pytest.raises(ModelError, match="cannot be run"):
        LlamaCpp(tmp_path / "python", path, threads=1, context=32)


@pytest.mark.skipif(
    "CLADA_NEURO_LLAMA_PYTHON" not in os.environ,
    reason="CLADA_NEURO_LLAMA_PYTHON names no interpreter with llama-cpp-python",
)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_peer_draws_the_tokens_of_the_model(model, tmp_path, dtype):
    path = tmp_path / "tiny.gguf"
    write_gguf(model, path, dtype)
    peer = LlamaCpp(os.environ["CLADA_NEURO_LLAMA_PYTHON"], path, threads=1, context=64)
    answer = peer.decode(IDS[:12].tolist(), 6)
    peer.close()
    expected = model.generate(IDS[None, :12], max_new_tokens=6, min_new_tokens=6, do_sample=False)
    assert answer["drawn"] == expected[0, 12:].tolist()
