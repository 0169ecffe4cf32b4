"""Models that are spread over devices or quantised: the same numbers where they are measured, one line where not."""

import json
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import VOCABULARY, tiny_checkpoint, tiny_model

from clada_neuro.errors import ModelError
from clada_neuro.instrument.trace import trace
from clada_neuro.models import memory, placing, quantised
from clada_neuro.models.loading import load_model
from clada_neuro.models.registry import measured_layers, policy_layers

STIMULI = pd.DataFrame({"sentence": ["w3 w4 w5 w6 w7", "w3 w4 w5 w9", "w11 w12"]})


def spread_over(model, **devices):
    model.hf_device_map = devices
    return model


def test_a_spread_model_gives_the_numbers_of_one_device(tmp_path):
    tiny_checkpoint(tmp_path)
    alone, spread = (
        trace(STIMULI, load_model(tmp_path, device=device), progress=False) for device in ("cpu", "spread")
    )
    if not torch.cuda.is_available():
        assert spread.manifest["model"]["device"] == "cpu"
    for name in ("surprisal_bits", "entropy_bits", "adjustment_prev"):
        np.testing.assert_allclose(spread.words[name], alone.words[name], atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_weights_in_the_memory_of_the_cpu_are_computed_with_on_the_gpu(tmp_path, monkeypatch):
    tiny_checkpoint(tmp_path)
    expected = trace(STIMULI, load_model(tmp_path, device="cpu"), progress=False)
    parts = {"model.embed_tokens": 0, "model.rotary_emb": 0, "model.layers.0": 0, "model.layers.1": "cpu",
             "model.norm": 0, "lm_head": "cpu"}  # fmt: skip
    monkeypatch.setattr("clada_neuro.models.loading.device_map", lambda *_: {"device_map": parts})
    found = trace(STIMULI, load_model(tmp_path, device="spread"), progress=False)
    np.testing.assert_allclose(found.words["surprisal_bits"], expected.words["surprisal_bits"], atol=1e-3)
    assert found.manifest["model"]["device"] == "cuda:0"
    assert found.manifest["model"]["device_map"] == {"cuda:0": 4, "cpu": 2}
    assert "memory of the CPU" in found.manifest["activity"]


def test_where_a_spread_model_takes_its_input_in():
    model = tiny_model()
    assert placing.home(model) == torch.device("cpu")
    assert placing.home(spread_over(model, a=1, b=0)) == torch.device("cuda:1")
    assert placing.home(spread_over(model, a="cpu")) == torch.device("cpu")
    assert placing.places(spread_over(model, a=0, b=0, c="cpu")) == {"cuda:0": 2, "cpu": 1}


def test_activity_and_policies_need_the_weights_in_one_place():
    model = spread_over(tiny_model(), a=0, b="cpu")
    layers, reason = measured_layers(model)
    assert (layers, reason) == (
        [],
        "part of the weights waits in the memory of the CPU, where contributions cannot be measured",
    )
    with pytest.raises(
        ModelError, match="policies need a model on one device, but it is spread over cuda:0, cpu"
    ):
        policy_layers(model)
    on_two_gpus = spread_over(tiny_model(), a=0, b=1)
    assert len(measured_layers(on_two_gpus)[0]) == 2
    with pytest.raises(ModelError, match="spread over cuda:0, cuda:1"):
        policy_layers(on_two_gpus)


def test_memory_is_counted_together_where_a_model_is_spread(tmp_path, monkeypatch):
    tiny_checkpoint(tmp_path)
    needed = memory.bytes_of_weights(tmp_path, torch.float32)
    monkeypatch.setattr(memory, "free_bytes", lambda device: needed // 2 + 1)
    cpu = torch.device("cpu")
    memory.check_memory("tiny", tmp_path, torch.float32, [cpu, cpu])
    with pytest.raises(
        ModelError, match=f"needs .*{needed:,} bytes.* are free on cpu; --dtype bfloat16 takes"
    ):
        memory.check_memory("tiny", tmp_path, torch.float32, [cpu])


@pytest.mark.parametrize(
    ("method", "needs"),
    [("gptq", "optimum and gptqmodel"), ("awq", "gptqmodel"), ("bitsandbytes", "bitsandbytes")],
)
def test_a_quantised_checkpoint_names_the_package_that_it_needs(tmp_path, monkeypatch, method, needs):
    tiny_checkpoint(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["quantization_config"] = {"quant_method": method, "bits": 4, "load_in_4bit": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(quantised, "find_spec", lambda name: None)
    with pytest.raises(ModelError) as raised:
        load_model(tmp_path, device="cpu")
    packages = needs.replace(" and ", " ")
    assert str(raised.value) == (
        f"model '{tmp_path}' is quantised ({method}), which needs {needs}; run: pip install {packages}"
    )
    monkeypatch.setattr(quantised, "find_spec", lambda name: SimpleNamespace())
    quantised.check_quantised("tiny", method)


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
def test_a_checkpoint_of_bitsandbytes_has_predictions_and_no_activity(tmp_path):
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    tiny_checkpoint(tmp_path / "plain")
    even = dict(
        hidden_size=64, intermediate_size=128, num_key_value_heads=4, head_dim=16, vocab_size=VOCABULARY
    )
    tiny_model(scale=4.0, **even).save_pretrained(tmp_path / "plain")
    how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.float32)
    reference = AutoModelForCausalLM.from_pretrained(
        tmp_path / "plain", quantization_config=how, dtype=torch.float32, device_map={"": "cpu"}
    )
    reference.save_pretrained(tmp_path / "quantised")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "quantised" / file).write_text((tmp_path / "plain" / file).read_text())
    found = trace(STIMULI, load_model(tmp_path / "quantised", device="cpu"), progress=False)
    with torch.inference_mode():
        log_p = reference(torch.tensor([[0, 3, 4, 5, 6, 7]])).logits[0].double().log_softmax(-1)
    bits = [-float(log_p[place, token]) / np.log(2) for place, token in enumerate((3, 4, 5, 6, 7))]
    np.testing.assert_allclose(found.words["surprisal_bits"].iloc[:5], bits, atol=1e-3)
    assert "quantised" in found.manifest["activity"]
