"""The accuracy of a suite, against surprisals by hand and from the command line."""

import json
import math

import pandas as pd
import pytest
import torch
from command_line import clada
from tiny_models import tiny_checkpoint
from transformers import AutoModelForCausalLM, AutoTokenizer

from clada_neuro.study.accuracy import accuracy, judge

VERBS = {"right": "w7 w8", "wrong": "w9"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


def suite(items: int) -> dict:
    return {
        "meta": {"name": "number"},
        "predictions": [
            {"type": "formula", "formula": "(2;%wrong%) > (2;%right%)"},
            {"type": "formula", "formula": "(*;%wrong%) > (*;%right%) - 2"},
        ],
        "items": [
            {
                "item_number": number,
                "conditions": [
                    {
                        "condition_name": name,
                        "regions": [
                            {"region_number": 1, "content": f"w{10 + number} w{30 + number}"},
                            {"region_number": 2, "content": verb},
                            {"region_number": 3, "content": f"w{50 + number}"},
                        ],
                    }
                    for name, verb in VERBS.items()
                ],
            }
            for number in range(items)
        ],
    }  # fmt: skip


def bits_of(checkpoint, sentence: str) -> list[float]:
    """Return the surprisals of a sentence's tokens by a plain pass in float64."""
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float64)
    ids = AutoTokenizer.from_pretrained(checkpoint)(sentence, add_special_tokens=False).input_ids
    with torch.inference_mode():
        log_p = model(torch.tensor([[0, *ids]])).logits[0].log_softmax(-1)
    return [-float(log_p[at, token]) / math.log(2) for at, token in enumerate(ids)]


def test_a_suite_s_report_is_its_accuracy(tmp_path, checkpoint, capsys):
    document = suite(12)
    path = tmp_path / "number.json"
    path.write_text(json.dumps(document))
    assert "predictions: 2 of 1 suite, judged by clada-neuro trace" in clada(capsys, "check", path).out
    done = clada(capsys, "trace", path, "--model", checkpoint, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "accuracy (share of items" in done.out
    found = pd.read_csv(tmp_path / "out" / "accuracy.csv").set_index("prediction")
    held = {"prediction 1": [], "prediction 2": []}
    for item in document["items"]:
        verb, whole = {}, {}
        for one in item["conditions"]:
            texts = [region["content"] for region in one["regions"]]
            bits = bits_of(checkpoint, " ".join(texts))
            verb[one["condition_name"]] = sum(bits[2 : 2 + len(texts[1].split())])
            whole[one["condition_name"]] = sum(bits)
        held["prediction 1"].append(verb["wrong"] > verb["right"])
        held["prediction 2"].append(whole["wrong"] > whole["right"] - 2)
    assert {0, 12} != {sum(one) for one in held.values()}
    for name, values in held.items():
        assert found.loc[name, "accuracy"] == pytest.approx(sum(values) / 12)
        assert found.loc[name, "n"] == 12
    both = sum(a and b for a, b in zip(*held.values(), strict=True))
    assert found.loc["all of them together", "accuracy"] == pytest.approx(both / 12)
    mean = (sum(map(sum, held.values()))) / 24
    assert found.loc["mean of the predictions", "accuracy"] == pytest.approx(mean)
    judged = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert judged.loc[judged["prediction"] == "prediction 1", "holds"].tolist() == held["prediction 1"]


def test_minimal_pairs_are_judged_from_the_command_line(tmp_path, checkpoint, capsys):
    pairs = [
        {"sentence_good": f"w5 w{k} w7", "sentence_bad": f"w5 w{k} w8", "UID": "end"} for k in range(20, 28)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, pairs)))
    done = clada(capsys, "trace", path, "--model", checkpoint, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    (row,) = pd.read_csv(tmp_path / "out" / "accuracy.csv").to_dict("records")
    better = [
        sum(bits_of(checkpoint, one["sentence_bad"])) > sum(bits_of(checkpoint, one["sentence_good"]))
        for one in pairs
    ]
    assert row["suite"] == "end"
    assert row["accuracy"] == pytest.approx(sum(better) / len(better))
    none = clada(
        capsys, "trace", path, "--model", checkpoint, "--start-token", "none", "--out", tmp_path / "none"
    )
    assert none.code == 0
    (row,) = pd.read_csv(tmp_path / "none" / "accuracy.csv").to_dict("records")
    assert (row["n"], row["missing"]) == (0, 8)


def test_intervals_are_wilson_s():
    judged = pd.DataFrame(
        {"suite": ["a"] * 10 + ["b"] * 4, "prediction": "p", "formula": "f", "item": range(14),
         "holds": pd.array([True] * 8 + [False] * 2 + [True] * 3 + [None], dtype="boolean")}
    )  # fmt: skip
    found = accuracy(judged)
    assert found["suite"].tolist() == ["a", "b", ""]
    assert found["n"].tolist() == [10, 3, 13]
    assert found["missing"].tolist() == [0, 1, 1]
    assert found["accuracy"].tolist() == pytest.approx([0.8, 1.0, 0.9])
    # R: prop.test(8, 10, correct = FALSE)$conf.int
    assert found.loc[0, ["ci_low", "ci_high"]].tolist() == pytest.approx([0.4901625, 0.9433178], abs=1e-6)


def test_a_word_without_tokens_of_its_own_has_no_bits():
    stimuli = pd.DataFrame(
        {"stimulus_id": ["1-a", "1-b"], "item": ["1", "1"], "condition": ["a", "b"], "suite": "s",
         "regions": [["1", "2"], ["1", "2"]]}
    )  # fmt: skip
    stimuli.attrs["predictions"] = [{"suite": "s", "name": "p", "formula": "(2;%a%) < (2;%b%)"}]
    tokens = pd.DataFrame(
        {"stimulus_id": ["1-a", "1-b", "1-b"], "word_index": [0, 0, 1], "surprisal_bits": [3.0, 1.0, 0.5]}
    )
    assert judge(tokens, stimuli)["holds"].tolist() == [True]
