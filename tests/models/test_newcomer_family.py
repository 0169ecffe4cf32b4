"""A new model family is one declaration: its blocks are found, measured, run under policies and read layer by layer."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from command_line import clada
from tiny_models import tiny_checkpoint, tiny_model, tiny_policy

from clada_neuro.artifacts import read_json, read_table
from clada_neuro.errors import ModelError
from clada_neuro.models.families import FAMILIES, Family
from clada_neuro.models.registry import ffn_layers, measured_layers, takes_trees
from clada_neuro.runtime.scoring import score

KIND = "nemotron"  # no family of this package: a plain block, whose maps are called as those of a gated one
ACTIVITY = ["sparsity_energy99", "adjustment_prev"]


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, KIND, Family(inputs=("up_proj",)))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("newcomer")
    tiny_checkpoint(folder / "model", KIND)
    pd.DataFrame({"sentence": ["w5 w9 w3 w70 w8 w21", "w6 w2 w44 w8 w9 w31"]}).to_csv(
        folder / "texts.csv", index=False
    )
    return folder


def _trace(capsys: pytest.CaptureFixture[str], desk: Path, out: Path, *options: object) -> Path:
    done = clada(capsys, "trace", desk / "texts.csv", "--model", desk / "model", "--out", out, *options)
    assert done.code == 0, done.err
    return out


def test_without_its_declaration_it_is_not_known() -> None:
    model = tiny_model(KIND)
    assert measured_layers(model)[1] == f"model type '{KIND}' has no feed-forward block that is known here"
    assert not takes_trees(model)


@pytest.mark.usefixtures("declared")
def test_with_it_its_blocks_are_found_and_named() -> None:
    model = tiny_model(KIND)
    assert [ffn.intermediate_size for ffn in ffn_layers(model)] == [52, 52]
    assert not ffn_layers(model)[0].gated
    assert takes_trees(model)
    with pytest.raises(ModelError, match=rf"'codegen' is not supported; supported are llama.*{KIND}"):
        ffn_layers(tiny_model("codegen"))


@pytest.mark.usefixtures("declared")
def test_nothing_left_out_is_the_model_itself() -> None:
    model, ids = tiny_model(KIND), list(range(3, 40))
    own, dense = (
        score(model, tiny_policy(model, threshold), [ids], prefix=8)[0].surprisal_bits[1:]
        for threshold in (0.0, 0.5)
    )
    expected = -model(torch.tensor([ids])).logits[0, :-1].double().log_softmax(dim=-1)
    bits = expected.gather(1, torch.tensor(ids[1:])[:, None])[:, 0] / torch.tensor(2.0).log()
    torch.testing.assert_close(own.double(), bits, rtol=1e-4, atol=1e-4)
    assert (dense - own).abs().max() > 0.01


@pytest.mark.usefixtures("declared")
def test_it_is_traced_with_activity_layers_and_policies(
    desk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dense = _trace(capsys, desk, tmp_path / "dense", "--layers", "all")
    tokens = read_table(dense / "tokens.parquet")
    assert tokens.loc[tokens["token_index"] > 1, ACTIVITY].notna().all(axis=None)
    last = read_table(dense / "word_layers.parquet").query("layer == 1")["lens_surprisal_bits"]
    assert last.to_numpy() == pytest.approx(
        read_table(dense / "words.parquet")["surprisal_bits"].to_numpy(), abs=1e-4
    )
    assert "activity" not in read_json(dense / "manifest.json")
    under = _trace(capsys, desk, tmp_path / "griffin", "--policy", "griffin", "--sparsity", 0.5)
    spared = read_table(under / "tokens.parquet")["ffn_sparsity"]
    assert spared.max() == pytest.approx(0.5, abs=0.05)
