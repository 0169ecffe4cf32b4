"""The single commands one after the other, in one folder and in several, with names of one's own."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import clada
from tiny_language import tiny_language

from clada_neuro.artifacts import read_json, read_provenance, read_table, write_json

FORMULA = "n400_uv ~ surprisal_bits + (1 | subject) + (1 | item)"


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """A folder with a model, another one, stimuli and trials, none of them called as in the README."""
    folder = tmp_path_factory.mktemp("desk")
    for name, start in (("llm", True), ("other llm", False)):
        model = tiny_language(start=start)
        if not start:
            model.model.lm_head.weight.mul_(0.5)
        model.model.save_pretrained(folder / name)
        model.tokenizer.save_pretrained(folder / name)
    animals = ("horse", "sailor", "fox", "child", "bird", "farmer", "dog", "king")
    stimuli = pd.DataFrame(
        [
            {"item": item, "condition": condition, "sentence": f"{before} the{' very' * (item % 4)} {noun} again.", "critical_word": noun}
            for item, noun in enumerate(animals)
            for condition, before in (("a", "We saw"), ("b", "Nobody here ever liked"))
        ]
    )  # fmt: skip
    stimuli.to_csv(folder / "my texts.csv", index=False)
    keys = stimuli[["item", "condition"]]
    trials = pd.concat([keys.assign(subject=f"s{number}") for number in range(8)])
    trials["n400_uv"] = np.random.default_rng(0).normal(0, 5, len(trials))
    trials.to_csv(folder / "reader data.csv", index=False)
    trials.assign(n400_uv=trials["n400_uv"] + 1).to_csv(folder / "second session.csv", index=False)
    return folder


@pytest.fixture
def call(capsys, desk, tmp_path, monkeypatch):
    """Run a command that must succeed, in a folder of this test; the files of the desk lie one level up."""
    for path in desk.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, code: int = 0) -> str:
        done = clada(capsys, *arguments)
        assert done.code == code, done.err
        return done.complaint if code else done.err

    return run


def trace(call, out: str, model: str = "llm") -> None:
    call("trace", "my texts.csv", "--model", model, "--threads", 1, "--out", out)


def page_of(call, folder: str) -> str:
    call("report", folder)
    return (Path(folder) / "report.html").read_text(encoding="utf-8")


def estimate(folder: str) -> float:
    return read_json(Path(folder, "fits.json"))[0]["coefficients"]["surprisal_bits"]["estimate"]


def test_the_whole_chain_in_one_folder(call):
    trace(call, "X")
    assert "LlamaForCausalLM" in page_of(call, "X")
    call("align", "X/words.parquet", "reader data.csv", "--out", "X")
    page_of(call, "X")
    call("fit", "X/trials.parquet", "--formula", FORMULA, "--out", "X")
    page = page_of(call, "X")
    assert f"{estimate('X'):.2f}".lstrip("-") in page
    assert "LlamaForCausalLM" in page
    assert (Path("X") / "tables" / "joins.csv").is_file()


def test_the_whole_chain_over_several_folders(call):
    trace(call, "my trace")
    call("align", "my trace/words.parquet", "reader data.csv", "--out", "joined")
    call("fit", "joined/trials.parquet", "--formula", FORMULA, "--out", "regression")
    for folder in ("my trace", "joined", "regression"):
        page = page_of(call, folder)
        assert ("LlamaForCausalLM" in page) == (folder != "regression")
        assert ("Satterthwaite" in page) == (folder == "regression")
    ids = {
        read_json("my trace/manifest.json")["inputs"],
        read_json("joined/manifest.json")["inputs"],
        read_provenance("joined/trials.parquet")["trace"],
    }
    assert len(ids) == 1
    assert (
        read_json("regression/fits.json")[0]["trials"] == read_provenance("joined/trials.parquet")["inputs"]
    )
    # Fits may also go to where the trials are.
    call("fit", "joined/trials.parquet", "--formula", FORMULA, "--out", "joined")
    assert "Satterthwaite" in page_of(call, "joined")


def test_one_folder_and_several_give_the_same_estimate(call):
    trace(call, "X")
    for folder in ("X", "Y"):
        call("align", "X/words.parquet", "reader data.csv", "--out", folder)
        call("fit", f"{folder}/trials.parquet", "--formula", FORMULA, "--out", folder)
    assert estimate("X") == estimate("Y")
    assert read_json("X/fits.json")[0]["trials"] == read_json("Y/fits.json")[0]["trials"]


def test_files_may_be_moved_and_renamed(call):
    trace(call, "X")
    shutil.move("X/words.parquet", "values of the words.parquet")
    shutil.rmtree("X")
    call("align", "values of the words.parquet", "reader data.csv", "--out", "joined")
    shutil.move("joined/trials.parquet", "mine.parquet")
    call("fit", "mine.parquet", "--formula", FORMULA, "--out", "regression")
    assert "Satterthwaite" in page_of(call, "regression")


@pytest.mark.parametrize("places", [("X", "X", "X"), ("trace", "joined", "joined")])
def test_the_chain_again_with_another_model(call, places):
    for model in ("llm", "other llm"):
        traced, joined, fitted = places
        trace(call, traced, model)
        call("align", f"{traced}/words.parquet", "reader data.csv", "--out", joined)
        call("fit", f"{joined}/trials.parquet", "--formula", FORMULA, "--out", fitted)
        assert model in page_of(call, joined)
    assert read_json(Path(joined, "manifest.json"))["model"]["model"] == "other llm"


def test_a_run_and_then_single_commands_in_its_folder(call):
    Path("own.toml").write_text(
        f'title = "t"\n[[model]]\nname = "N400"\nformula = "{FORMULA}"\n[synergy]\nresponse = "n400_uv"\nbootstrap = 5\n'
        'predictors = ["surprisal_bits", "sparsity_energy99"]\nrandom = "(1 | subject) + (1 | item)"\n'
    )
    call(
        "run", "my texts.csv", "--trials", "reader data.csv", "--model", "llm", "--threads", 1, "--out", "X", "--jobs", 1,
        "--analysis", "own.toml",
    )  # fmt: skip
    before = read_json("X/manifest.json")
    assert before["inputs"] == read_provenance("X/trials.parquet")["trace"]
    assert Path("X/synergy.json").is_file()
    call("align", "X/words.parquet", "reader data.csv", "--out", "X")  # the same trials: nothing is stale
    page_of(call, "X")
    call("align", "X/words.parquet", "second session.csv", "--out", "X")
    assert "target" not in read_json("X/manifest.json")  # what the run said of its own trials
    said = call("report", "X", code=2)
    assert "fits.json' was estimated on other trials than trials.parquet holds" in said
    with pytest.warns(UserWarning, match=r"synergy\.json' was estimated on other trials and is removed"):
        call("fit", "X/trials.parquet", "--formula", FORMULA, "--out", "X")
    assert "Satterthwaite" in page_of(call, "X")


TABLES = ("tokens.parquet", "layers.parquet", "words.parquet", "words.csv", "trials.parquet", "trials.csv")


def run(call, out: str, *more: object) -> None:
    call(
        "run", "my texts.csv", "--trials", "reader data.csv", "--model", "llm", "--threads", 1, "--out", out,
        "--jobs", 1, "--formula", FORMULA, *more,
    )  # fmt: skip


def chain(call, out: str) -> None:
    trace(call, out)
    call("align", f"{out}/words.parquet", "reader data.csv", "--out", out)
    call("fit", f"{out}/trials.parquet", "--formula", FORMULA, "--zscore", "surprisal_bits", "--out", out)


def contents(folder: str) -> dict[str, bytes]:
    return {name: Path(folder, name).read_bytes() for name in TABLES}


def test_run_and_the_chain_leave_the_same_tables_and_the_same_lineage(call):
    run(call, "R")
    chain(call, "C")
    assert contents("R") == contents("C")
    whole, chained = read_json("R/manifest.json"), read_json("C/manifest.json")
    speeds = {"linear_speeds"}  # of this minute's machine
    assert {key: whole[key] for key in chained if key not in speeds} == {
        key: value for key, value in chained.items() if key not in speeds
    }
    one, other = (read_json(f"{folder}/fits.json")[0] for folder in ("R", "C"))
    assert one["trials"] == other["trials"] == read_provenance("R/trials.parquet")["inputs"]
    assert one["coefficients"] == other["coefficients"]


def test_the_chain_goes_on_in_the_folder_of_a_run_and_a_run_in_that_of_a_chain(call, monkeypatch):
    run(call, "R")
    chain(call, "C")
    before, said = contents("R"), read_json("R/manifest.json")

    def refuse(*given: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr("clada_neuro.instrument.measurer._shard", refuse)
    trace(call, "R")
    assert read_json("R/manifest.json") == said  # also what the run said of its trials, which are still there
    chain(call, "R")
    run(call, "C")
    assert contents("R") == contents("C") == before
    assert {key: value for key, value in read_json("C/manifest.json").items() if key in ("target", "joins")} == {
        "target": "my texts", "joins": said["joins"]
    }  # fmt: skip


def test_another_trace_takes_away_what_was_said_of_trials(call):
    run(call, "R")
    trace(call, "R", "other llm")
    assert not {"joins", "target"} & read_json("R/manifest.json").keys()


def test_an_edited_config_makes_the_trace_anew(call, desk):
    shutil.copytree(desk / "llm", "edited")
    trace(call, "X", "edited")
    before = read_table("X/words.parquet")["surprisal_bits"]
    config = Path("edited/config.json")
    text = config.read_text()
    assert '"rms_norm_eps": 1e-06' in text
    config.write_text(text.replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 1.0'))
    trace(call, "X", "edited")
    after = read_table("X/words.parquet")["surprisal_bits"]
    trace(call, "fresh", "edited")
    assert after.tolist() == read_table("fresh/words.parquet")["surprisal_bits"].tolist()
    assert (after - before).abs().max() > 0.1


def test_words_of_another_trace_are_not_aligned_into_a_trace(call):
    trace(call, "X")
    trace(call, "Y", "other llm")
    said = call("align", "Y/words.parquet", "reader data.csv", "--out", "X", code=2)
    assert "choose another --out" in said
    assert not Path("X/trials.parquet").exists()


def test_fits_of_other_trials_are_refused_before_they_are_made(call):
    trace(call, "X")
    call("align", "X/words.parquet", "reader data.csv", "--out", "X")
    read_table("X/trials.parquet").head(100).to_csv("subset.csv", index=False)
    said = call("fit", "subset.csv", "--formula", FORMULA, "--out", "X", code=2)
    assert "holds other trials than 'subset.csv'" in said
    assert "choose another --out" in said
    call("fit", "subset.csv", "--formula", FORMULA, "--out", "elsewhere")
    assert "Satterthwaite" in page_of(call, "elsewhere")


def test_a_report_leaves_no_table_or_figure_of_an_earlier_one(call):
    trace(call, "X")
    call("align", "X/words.parquet", "reader data.csv", "--out", "X")
    call("fit", "X/trials.parquet", "--formula", FORMULA, "--out", "X")
    page_of(call, "X")
    parts = {path for place in ("figures", "tables") for path in Path("X", place).iterdir()}
    mine = Path("X/tables/notes of mine.csv")
    mine.write_text("kept")
    write_json("X/fits.json", [])
    page_of(call, "X")
    left = {path for place in ("figures", "tables") for path in Path("X", place).iterdir()}
    assert mine in left
    assert left - {mine} < parts
    clean = Path("clean")
    shutil.copytree("X", clean, ignore=shutil.ignore_patterns("figures", "tables", ".report.json"))
    page_of(call, "clean")
    made = {path.relative_to(clean) for place in ("figures", "tables") for path in (clean / place).iterdir()}
    assert {path.relative_to("X") for path in left - {mine}} == made
