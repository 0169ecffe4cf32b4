"""Several language models in one run: a study each, one family of tests, pooled estimates, one report above."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from command_line import clada
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from clada_neuro import artifacts
from clada_neuro.errors import DataError
from clada_neuro.stats.compare import adjust
from clada_neuro.study.run import run
from clada_neuro.study.several import folder_name, pooled

LIMIT = 8


def checkpoint(folder: Path, seed: int) -> str:
    """Write a random model of two layers that reads bytes."""
    letters = ["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    backend = Tokenizer(models.BPE({letter: at for at, letter in enumerate(letters)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>").save_pretrained(
        folder
    )
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(letters), hidden_size=24, intermediate_size=52, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    for weight in model.parameters():
        if weight.dim() == 2:
            weight.data.mul_(8.0)  # so that predictions are not flat
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return checkpoint(folder / "one", 0), checkpoint(folder / "two", 1)


@pytest.fixture(scope="module")
def compared(checkpoints, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("several") / "out"
    run("demo", model=checkpoints, out=folder, limit=LIMIT, component="n400")
    return folder


@pytest.fixture(scope="module")
def alone(checkpoints, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("alone") / "out"
    run("demo", model=checkpoints[0], out=folder, limit=LIMIT, component="n400")
    return folder


def places(folder: Path, checkpoints: tuple[str, str]) -> list[Path]:
    return [folder / "models" / folder_name(name) for name in checkpoints]


def test_one_model_keeps_its_flat_layout(alone):
    assert not (alone / "models").exists()
    assert not (alone / "pooled.json").exists()
    assert "language_models" not in artifacts.read_json(alone / "manifest.json")


def test_each_model_has_a_complete_study_that_equals_the_one_it_has_alone(compared, alone, checkpoints):
    first, second = places(compared, checkpoints)
    for place in (first, second):
        assert {path.name for path in place.iterdir()} >= {
            path.name for path in alone.iterdir() if path.is_file()
        }
    mine, theirs = (artifacts.read_json(place / "fits.json")[0] for place in (first, alone))
    assert mine["coefficients"] == theirs["coefficients"]
    other = artifacts.read_json(second / "fits.json")[0]
    assert other["coefficients"] != mine["coefficients"]


def test_simulated_responses_are_the_same_for_every_model(compared, checkpoints):
    keys = ["subject", "stimulus_id", "word_index"]
    first, second = (
        artifacts.read_table(place / "trials.parquet").sort_values(keys)
        for place in places(compared, checkpoints)
    )
    np.testing.assert_array_equal(first["n400_uv"], second["n400_uv"])
    assert not np.allclose(first["surprisal_bits"], second["surprisal_bits"])


def test_a_family_spans_all_models_and_estimates_are_pooled(compared, checkpoints):
    entries = artifacts.read_json(compared / "fits.json")
    assert [entry["language_model"] for entry in entries] == list(checkpoints)
    assert [entry["name"].rsplit(", ", 1)[-1] for entry in entries] == ["one", "two"]
    tests = pd.DataFrame({"p": [entry["coefficients"]["surprisal_bits"]["p"] for entry in entries]})
    expected = adjust(tests)["p_bh"].tolist()
    assert [entry["p_bh"]["surprisal_bits"] for entry in entries] == pytest.approx(expected)
    for place, wanted in zip(places(compared, checkpoints), expected, strict=True):
        (own,) = artifacts.read_json(place / "fits.json")
        assert own["p_bh"]["surprisal_bits"] == pytest.approx(wanted)
        assert own["family"].startswith("2 focal terms")
    found = {row["term"]: row for row in artifacts.read_json(compared / "pooled.json")}
    each = [entry["coefficients"]["surprisal_bits"]["estimate"] for entry in entries]
    assert found["surprisal_bits"]["estimate"] == pytest.approx(np.mean(each))
    assert found["surprisal_bits"]["n_models"] == 2
    assert "(Intercept)" not in found


def test_the_report_compares_the_models_and_the_tables_hold_the_numbers(compared, checkpoints):
    page = (compared / "report.html").read_text(encoding="utf-8")
    assert 'id="models"' in page
    assert "pooled b = " in page
    assert re.search(r" over 2 models, negative in (none|1 of 2|all)\.", page)
    assert "stands in each folder" not in page  # said once, where the models are named
    assert "tables of tokens, layers and words" in page
    table = pd.read_csv(compared / "tables" / "models_effects.csv")
    assert set(table["model"]) == {*checkpoints, "pooled"}
    manifest = artifacts.read_json(compared / "manifest.json")
    assert [model["name"] for model in manifest["language_models"]] == list(checkpoints)
    assert len({model["model"]["weights_hash"] for model in manifest["language_models"]}) == 2
    synergies = artifacts.read_json(compared / "synergy.json")
    assert [entry["language_model"] for entry in synergies] == list(checkpoints)


def test_models_named_in_the_analysis_are_run_and_nothing_departs(checkpoints, tmp_path):
    path = tmp_path / "analysis.toml"
    path.write_text(
        f"title = 'Two'\nlanguage_models = ['{checkpoints[0]}', '{checkpoints[1]}']\n[[model]]\nname = 'N400'\n"
        "formula = 'n400_uv ~ surprisal_bits + (1|subject) + (1|stimulus)'\n"
    )
    run("demo", out=tmp_path / "out", limit=LIMIT, analysis=path)
    manifest = artifacts.read_json(tmp_path / "out" / "manifest.json")
    assert [model["name"] for model in manifest["language_models"]] == list(checkpoints)
    assert manifest["departures"] == []
    assert not (tmp_path / "out" / "synergy.json").exists()


def test_a_model_named_twice_is_refused(checkpoints, tmp_path, capsys):
    done = clada(
        capsys, "run", "demo", "--model", checkpoints[0], "--model", checkpoints[0], "--out", tmp_path / "out"
    )
    assert done.code == 2
    assert "name each once" in done.err
    with pytest.raises(DataError, match="name each once"):
        run("demo", model=("a/b", "a_b"), out=tmp_path / "other")


def test_a_folder_of_the_other_kind_is_refused(compared, alone, checkpoints):
    with pytest.raises(DataError, match="holds a run of several models, one given"):
        run("demo", model=checkpoints[0], out=compared, limit=LIMIT)
    with pytest.raises(DataError, match="holds a run of one model, 2 given"):
        run("demo", model=checkpoints, out=alone, limit=LIMIT)


def test_fits_that_cannot_be_pooled_say_why():
    fits = {
        model: [
            {
                "name": "N400",
                "response": "n400_uv",
                "formula": "y ~ x",
                "n_obs": rows,
                "coefficients": {"x": {}},
            }
        ]
        for model, rows in (("a", 100), ("b", 90))
    }
    (row,) = pooled(fits)
    assert "differ in n_obs" in row["reason"]
