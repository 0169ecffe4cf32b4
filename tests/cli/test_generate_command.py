import io
import re
from pathlib import Path

import pytest
from command_line import clada
from tiny_models import tiny_checkpoint

from clada_neuro.cli import main
from clada_neuro.runtime import runner

PROMPT = "The old lighthouse keeper walked down to the"


def test_text_sparsity_and_speed_against_dense(capsys: pytest.CaptureFixture[str]) -> None:
    done = clada(capsys, "generate", PROMPT, "--compare-dense", "--max-new-tokens", 24)
    assert done.code == 0, done.err
    sparse, dense = re.findall(r"\[(\w+): FFN sparsity (\d\.\d+)", done.out)
    assert sparse[0] == "clada"
    assert float(sparse[1]) == pytest.approx(0.40, abs=0.05)
    assert dense == ("dense", "0.000")
    assert "of tokens reanalysed" in done.out
    assert re.search(r"clada at \d+\.\d\d times the speed of dense", done.out)


def test_the_same_seed_writes_the_same_text(capsys: pytest.CaptureFixture[str]) -> None:
    options = (
        "--policy",
        "griffin",
        "--sparsity",
        0.3,
        "--temperature",
        0.8,
        "--max-new-tokens",
        8,
        "--seed",
        5,
    )
    first, again = (clada(capsys, "generate", PROMPT, *options).out.split("[griffin")[0] for _ in range(2))
    assert first == again


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--policy", "clda"), r"no policy 'clda' \(did you mean 'clada'\?\)"),
        (("--sparsity", 0.97), "reaches 0 to"),
        (("--calibration", "missing.safetensors"), "cannot be read"),
        (("--temperature", -1), "temperature -1.0"),
    ],
)
def test_wrong_input_is_one_line(capsys: pytest.CaptureFixture[str], options: tuple, complaint: str) -> None:
    done = clada(capsys, "generate", PROMPT, "--max-new-tokens", 2, *options)
    assert done.code == 2
    assert re.search(complaint, done.complaint)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_window_that_is_too_short_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, family: str
) -> None:
    model = tiny_checkpoint(tmp_path, family)
    plain = ("--model", model, "--device", "cpu")
    done = clada(capsys, "generate", "w5 " * 100, *plain, "--policy", "dense", "--max-new-tokens", 40)
    assert (done.code, done.out) == (2, "")
    assert "140 tokens, this model reads at most 128; shorten the prompt or lower" in done.complaint
    text = tmp_path / "text.txt"
    text.write_text("w5 w6 " * 20_000, encoding="utf-8")
    done = clada(capsys, "calibrate", *plain, "--text", text, "--out", tmp_path / "c.safetensors")
    assert done.code == 2
    assert "calibration text: 256 tokens, this model reads at most 128" in done.complaint


def test_the_limit_that_is_printed_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    asked = (PROMPT, "--max-new-tokens", 2, "--sparsity")
    limit = re.search(r"reaches 0 to (0\.\d+)", clada(capsys, "generate", *asked, 0.97).complaint)
    assert limit
    assert clada(capsys, "generate", *asked, limit[1]).code == 0


def test_bfloat16_reaches_the_compiled_step(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(runner, "attach", None)  # what any other engine needs
    done = clada(capsys, "generate", PROMPT, "--dtype", "bfloat16", "--max-new-tokens", 12)
    assert done.code == 0, done.err
    assert float(re.findall(r"FFN sparsity (\d\.\d+)", done.out)[0]) == pytest.approx(0.40, abs=0.05)


def test_a_pipe_that_knows_few_characters_gets_the_others_escaped(monkeypatch) -> None:
    pipe = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr("sys.stdout", pipe)
    options = ["--policy", "dense", "--max-new-tokens", "8"]
    monkeypatch.setattr("sys.argv", ["clada-neuro", "generate", "猫 café 猫 café 猫 café 猫 café", *options])
    with pytest.raises(SystemExit) as stopped:
        main.main()
    pipe.flush()
    assert stopped.value.code == 0
    written = pipe.buffer.getvalue()
    assert rb"\u732b" in written


def test_calibrate_names_the_text_it_cannot_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "c.safetensors"
    assert (
        "missing.txt"
        in clada(capsys, "calibrate", "--text", tmp_path / "missing.txt", "--out", out).complaint
    )
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "fine"}\n{"words": 1}\n', encoding="utf-8")
    done = clada(capsys, "calibrate", "--text", bad, "--out", out)
    assert done.code == 2
    assert "line 2: an object with a field 'text' expected" in done.complaint
    short = tmp_path / "short.txt"
    short.write_text("too short", encoding="utf-8")
    assert "at least 12 expected" in clada(capsys, "calibrate", "--text", short, "--out", out).complaint
