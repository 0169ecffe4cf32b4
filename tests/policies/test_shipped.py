"""The calibration that ships for the embedded model."""

import json
import os
from pathlib import Path

import pytest
import torch

from clada_neuro.models.loading import LanguageModel, load_model
from clada_neuro.models.registry import ffn_layers
from clada_neuro.policies.artifact import MAX_BYTES, load_calibration
from clada_neuro.policies.registry import OFFSET, make_policy
from clada_neuro.runtime.scoring import score


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return load_model("smollm2")


def test_it_is_found_and_small_and_states_its_bound(model: LanguageModel) -> None:
    from clada_neuro.artifacts import package_data

    path = package_data("calibration", f"{model.weights_hash}.safetensors")
    assert path.stat().st_size <= MAX_BYTES
    header = load_calibration(model).header
    certificate = header["certificate"]
    assert certificate["frontier"][0]["ffn_sparsity"] == pytest.approx(0.40, abs=0.01)
    assert certificate["frontier"][0]["loss_nats"] < 0.10
    # either the bound holds at the wanted sparsity or the reason says why it cannot
    assert (certificate["ffn_sparsity"] or 0) >= 0.40 or "above the limit" in certificate["reason"]
    assert certificate["documents"] == certificate["texts"] == 48  # whole works, one text of each
    calibration = load_calibration(model)
    assert "on 48 documents that no choice has seen" in calibration._repr_html_()
    del calibration.header["certificate"]["texts"]  # as files from when a document was a piece of a work
    assert "pieces of works that it has" in calibration._repr_html_()
    assert {"random-load", "reversed-load", "no-load", "foreign-prefix"} <= set(header["offsets"])


def test_a_full_budget_is_the_plain_model(model: LanguageModel) -> None:
    text = [0, *model.tokenizer("The keys to the old cabinet were on the table.").input_ids]
    policy = make_policy("clada", ffn_layers(model.model), load_calibration(model), 0.0)
    with torch.no_grad():
        plain = model.model(torch.tensor([text])).logits[0].log_softmax(-1)
    found = score(model.model, policy, [text], prefix=2)[0]
    expected = -plain[:-1].gather(1, torch.tensor(text)[1:, None]).squeeze(1) / torch.tensor(2.0).log()
    torch.testing.assert_close(found.surprisal_bits[1:], expected, rtol=0, atol=1e-3)


@pytest.mark.slow
@pytest.mark.skipif("CLADA_NEURO_DATA" not in os.environ, reason="needs the C4 sample in CLADA_NEURO_DATA")
@pytest.mark.parametrize("name", OFFSET)
def test_controls_cost_the_same_on_held_out_text(model: LanguageModel, name: str) -> None:
    folders = [Path(part) for part in os.environ["CLADA_NEURO_DATA"].split(os.pathsep)]
    path = next(
        folder / "c4_sample" / "c4_sample.jsonl" for folder in folders if (folder / "c4_sample").is_dir()
    )
    lines = path.read_text(encoding="utf-8").splitlines()[600:]
    texts = [[0, *model.tokenizer(json.loads(line)["text"][:3000]).input_ids][:256] for line in lines]
    texts = [text for text in texts if len(text) == 256][:24]
    policy = make_policy(name, ffn_layers(model.model), load_calibration(model), 0.4)
    reached = torch.cat([s.ffn_sparsity[32:] for s in score(model.model, policy, texts, prefix=32)]).mean()
    assert float(reached) == pytest.approx(0.40, abs=0.005)
