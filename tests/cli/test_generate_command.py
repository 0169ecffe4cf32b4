import re
from pathlib import Path

import pytest
from command_line import clada

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
