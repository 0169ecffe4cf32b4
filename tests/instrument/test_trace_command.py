"""``clada-neuro trace`` on a tiny checkpoint: its files, its errors."""

import pandas as pd
import pytest
from command_line import clada
from tiny_language import tiny_language

from clada_neuro.instrument.trace import Trace


@pytest.fixture
def folder(tmp_path):
    model = tiny_language()
    model.model.save_pretrained(tmp_path / "model")
    model.tokenizer.save_pretrained(tmp_path / "model")
    stimuli = "item;condition;sentence;critical_word\n1;a;Der alte Bäcker schlief.;Bäcker\n1;b;Nobody knows.;knows\n"
    (tmp_path / "stimuli.csv").write_text("\ufeff" + stimuli.replace("\n", "\r\n"), encoding="utf-8")
    return tmp_path


def test_writes_what_it_says(capsys, folder):
    arguments = ("trace", folder / "stimuli.csv", "--model", folder / "model", "--out", folder / "out")
    done = clada(capsys, *arguments)
    assert done.code == 0, done.err
    assert "2 stimuli, 6 words" in done.out
    found = Trace.read(folder / "out")
    assert found.words.loc[found.words["is_critical"], "word"].tolist() == ["Bäcker", "knows."]
    assert found.manifest["model"]["start_token"] == "<|endoftext|>"
    assert clada(capsys, *arguments).code == 0


def test_means_by_condition_are_printed_and_written(capsys, folder):
    arguments = ("trace", folder / "stimuli.csv", "--model", folder / "model", "--out", folder / "out")
    done = clada(capsys, *arguments)
    words = Trace.read(folder / "out").words
    means = pd.read_csv(folder / "out" / "conditions.csv").set_index(["measure", "condition"])["mean"]
    critical = words[words["is_critical"]].set_index("word")["surprisal_bits"]
    assert means["surprisal_bits", "a"] == pytest.approx(critical["Bäcker"])
    assert means["length", "b"] == 5
    assert "critical words by condition (95 % t intervals of the mean" in done.out


def test_a_policy_adds_its_columns(capsys, folder):
    arguments = ("trace", folder / "stimuli.csv", "--model", folder / "model", "--out", folder / "out")
    done = clada(capsys, *arguments, "--policy", "griffin", "--sparsity", "0.5", "--start-token", "none")
    assert done.code == 0, done.err
    found = Trace.read(folder / "out")
    assert found.manifest["policy"]["name"] == "griffin"
    assert found.manifest["model"]["start_token"] is None
    assert found.tokens["ffn_sparsity"].max() == pytest.approx(0.5, abs=0.02)


def test_layers_are_a_table_of_its_own(capsys, folder):
    arguments = ("trace", folder / "stimuli.csv", "--model", folder / "model", "--out", folder / "out")
    assert clada(capsys, *arguments, "--layers", "every:2").code == 0
    found = Trace.read(folder / "out")
    assert len(found.word_layers) == len(found.words)
    assert found.manifest["word_layers"]["layers"] == [1]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--layers", "2"), "layer 2 does not exist: the model has 2 layers, 0 to 1"),
        (("--layers", "1-2"), "layers '1-2' given, all, every:N"),
        (
            ("--layers", "all", "--policy", "griffin"),
            "of dense traces; leave layers (--layers) or the policy out",
        ),
        (("--layers", "all", "--csv"), "--csv writes one file"),
    ],
)
def test_layers_that_cannot_be_measured_get_one_line(capsys, folder, given, said):
    arguments = ("trace", folder / "stimuli.csv", "--model", folder / "model", "--out", folder / "out")
    done = clada(capsys, *arguments, *given)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1
    one_file = clada(capsys, *arguments[:4], "--out", folder / "one.csv", "--layers", "all")
    assert "--layers writes a table of its own; give a folder as --out" in one_file.err


def test_top_k_is_a_table_of_its_own(capsys, folder):
    arguments = ("trace", folder / "stimuli.csv", "--model", folder / "model", "--out", folder / "out")
    assert clada(capsys, *arguments, "--top-k", "2").code == 0
    found = Trace.read(folder / "out")
    assert len(found.top_k) == 2 * len(found.tokens)
    assert found.manifest["top_k"] == 2


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("--start-token", "<bos>", "not in the vocabulary"),
        ("--language", "english", "no word frequencies for language 'english'"),
        ("--policy", "gryffin", "did you mean 'griffin'"),
        ("--device", "gpu", "device 'gpu' cannot be used"),
    ],
)
def test_wrong_options_are_one_line_and_code_2(capsys, folder, option, value, complaint):
    done = clada(
        capsys, "trace", folder / "stimuli.csv", "--model", folder / "model", "--out", folder / "out", option, value
    )  # fmt: skip
    assert done.code == 2
    assert complaint in done.complaint
