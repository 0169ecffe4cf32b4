"""Two processes that write to the same place: one works, the other is refused, and nothing is mixed."""

import subprocess
import sys

from command_line import start
from tiny_language import tiny_language

from clada_neuro.artifacts import sole_writer
from clada_neuro.instrument.trace import Trace, trace
from clada_neuro.models.loading import load_model
from clada_neuro.stimuli.formats import read_stimuli

ANIMALS = ("sailor", "baker", "children", "crowd", "owner")


def test_two_traces_into_one_folder(tmp_path):
    model = tiny_language()
    model.model.save_pretrained(tmp_path / "model")
    model.tokenizer.save_pretrained(tmp_path / "model")
    lines = [f"{k},a,The old {ANIMALS[k % 5]} told the {ANIMALS[k % 3]} story {k}." for k in range(1500)]
    (tmp_path / "stimuli.csv").write_text("\n".join(["item,condition,sentence", *lines]), encoding="utf-8")
    command = (
        "trace",
        tmp_path / "stimuli.csv",
        "--model",
        tmp_path / "model",
        "--threads",
        1,
        "--out",
        tmp_path / "out",
    )
    both = [start(*command) for _ in range(2)]
    errors = [process.communicate(timeout=300)[1] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 2], errors
    refused = errors[codes.index(2)].strip().splitlines()[-1]
    assert refused.startswith("clada-neuro: another process is writing to")
    found = Trace.read(tmp_path / "out")
    assert found.words["stimulus_id"].nunique() == 1500
    alone = trace(
        read_stimuli(tmp_path / "stimuli.csv"),
        load_model(tmp_path / "model"),
        out=tmp_path / "alone",
        progress=False,
    )
    assert found.manifest["counts"] == alone.manifest["counts"]
    assert not list((tmp_path / "out").rglob("*.part"))


def test_a_file_has_one_writer_and_its_folder_stays_free(tmp_path):
    code = (
        "import sys; from pathlib import Path; from clada_neuro.artifacts import sole_writer\n"
        "with sole_writer(Path(sys.argv[1])): print('entered')"
    )

    def attempt(name: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / name)], capture_output=True, text=True
        )
        return done.stdout or done.stderr.strip().splitlines()[-1]

    with sole_writer(tmp_path / "a.safetensors"):
        assert "another process is writing" in attempt("a.safetensors")
        assert attempt("b.safetensors") == "entered\n"
    assert attempt("a.safetensors") == "entered\n"


def test_half_written_files_of_a_killed_process_are_removed_and_others_stay(tmp_path):
    (tmp_path / "shards").mkdir()
    stale = [tmp_path / ".words.parquet.abc.part", tmp_path / "shards" / ".00001.tokens.parquet.x.part"]
    kept = [tmp_path / "mine.part", tmp_path / "shards" / "00001.tokens.parquet"]
    for path in (*stale, *kept):
        path.write_text("x")
    with sole_writer(tmp_path):
        pass
    assert [path.exists() for path in (*stale, *kept)] == [False, False, True, True]
