"""The compiled token step against transformers, and under policies against the PyTorch path."""

import math
from copy import deepcopy

import numpy as np
import pytest
import torch
from tiny_models import VOCABULARY, tiny_model
from transformers import AutoConfig, AutoModelForCausalLM

from clada_neuro.errors import ModelError
from clada_neuro.runtime.kernels.cpu import exponential, moments
from clada_neuro.runtime.kernels.llama_step import LlamaStep
from clada_neuro.runtime.kernels.llama_weights import use_large_pages

IDS = torch.randint(0, VOCABULARY, (1, 24), generator=torch.Generator().manual_seed(3))


def logits_of(step: LlamaStep, ids: torch.Tensor) -> torch.Tensor:
    return torch.stack([step(token).clone() for token in ids.tolist()])


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.fixture(scope="module")
def model():
    return tiny_model("llama")


@pytest.fixture(scope="module")
def reference(model):
    return model(IDS).logits[0]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_full_budget_equals_the_plain_model(model, reference, threads):
    assert relative(logits_of(LlamaStep(model, context=32, threads=threads), IDS[0]), reference) < 1e-5


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_surprisal_and_entropy_are_those_of_the_logits_in_float64(model, threads):
    step = LlamaStep(model, context=32, threads=threads)
    for token in IDS[0, :8].tolist():
        log_p = step(token).double().log_softmax(-1)
        entropy = -(log_p.exp() * log_p).sum() / math.log(2)
        expected = (float(-log_p[17] / math.log(2)), float(entropy))
        assert step.surprisal_and_entropy(17) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("spread", [0.1, 3.0, 30.0, 300.0])
def test_normaliser_and_entropy_of_logits_of_any_spread(spread):
    logits = spread * np.random.default_rng(0).normal(size=5000).astype(np.float32)
    logits[7] = -np.inf
    mass, weighted = moments(logits, logits.max())
    d = np.maximum(logits.astype(float) - logits.max(), -1e4)
    assert mass == pytest.approx(np.exp(d).sum(), rel=1e-5)
    assert weighted == pytest.approx((np.exp(d) * d).sum(), rel=1e-5)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("scaling", [{"rope_type": "default"}, {"rope_type": "linear", "factor": 4.0}])
def test_full_budget_with_grouped_heads_of_any_size(tied, scaling):
    config = AutoConfig.for_model(
        "llama", vocab_size=50, hidden_size=42, intermediate_size=100, num_hidden_layers=3, num_attention_heads=6,
        num_key_value_heads=2, head_dim=10, max_position_embeddings=64, tie_word_embeddings=tied,
        rope_parameters={"rope_theta": 100.0, **scaling},
    )  # fmt: skip
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    ids = torch.randint(0, 50, (1, 30))
    assert relative(logits_of(LlamaStep(model, context=32), ids[0]), model(ids).logits[0]) < 1e-5


def test_mistral_without_a_sliding_window():
    model = tiny_model("mistral")
    model.config.sliding_window = None
    assert relative(logits_of(LlamaStep(model, context=32), IDS[0]), model(IDS).logits[0]) < 1e-5


def test_bfloat16_weights_give_the_logits_of_the_same_numbers_in_float32(model):
    rounded = tiny_model("llama").bfloat16()
    reference = deepcopy(rounded).float()
    found = logits_of(LlamaStep(rounded, context=32), IDS[0])
    assert relative(found, reference(IDS).logits[0]) < 1e-5


def test_a_dense_prefill_is_continued(model, reference):
    step = LlamaStep(model, context=32)
    read = model(IDS[:, :15], use_cache=True)
    step.start(read.past_key_values, read.logits[0, -1])
    assert step.position == 15
    assert relative(logits_of(step, IDS[0, 15:]), reference[15:]) < 1e-5


def test_recorded_masks_replayed_give_the_logits_of_the_masked_model(model):
    generator = torch.Generator().manual_seed(5)
    kept = [torch.rand(2, rows, generator=generator) < share for rows, share in ((24, 0.7), (52, 0.4))]
    handles = []
    for layer, block in enumerate(model.model.layers):
        for linear, mask in (
            (block.mlp.gate_proj, kept[0][layer]),
            (block.mlp.up_proj, kept[0][layer]),
            (block.mlp.down_proj, kept[1][layer]),
        ):
            handles.append(linear.register_forward_pre_hook(lambda _, args, mask=mask: (args[0] * mask,)))
    masked = model(IDS).logits[0]
    for handle in handles:
        handle.remove()
    step = LlamaStep(model, context=32)
    step.use_cutoffs(*(torch.where(mask, 0.0, torch.inf) for mask in kept))
    assert relative(logits_of(step, IDS[0]), masked) < 1e-5
    assert torch.equal(step.input_mask, kept[0])
    assert torch.equal(step.neuron_mask, kept[1])


def test_masks_shrink_as_the_scale_grows_and_are_full_at_zero(model):
    step = LlamaStep(model, context=32)
    step.use_cutoffs(torch.full((2, 24), 0.5), torch.full((2, 52), 0.5))
    counts = []
    for scale in (0.0, 0.5, 2.0, 1e6):
        step.position = 0
        step(7, scale)
        counts.append(int(step.input_mask.sum() + step.neuron_mask.sum()))
    assert counts[0] == 2 * (24 + 52)
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 0


def test_the_bias_is_added_to_every_block(model):
    bias = torch.randn(2, 24, generator=torch.Generator().manual_seed(2))
    step = LlamaStep(model, context=32)
    step.use_cutoffs(torch.full((2, 24), torch.inf), torch.full((2, 52), torch.inf))
    step.bias.copy_(bias)
    handles = [
        block.mlp.register_forward_hook(lambda _, args, output, bias=bias[layer]: bias.expand_as(output))
        for layer, block in enumerate(model.model.layers)
    ]
    expected = model(IDS).logits[0]
    for handle in handles:
        handle.remove()
    assert relative(logits_of(step, IDS[0]), expected) < 1e-5


def test_a_sequence_beyond_the_context_is_refused(model):
    step = LlamaStep(model, context=2)
    step(1)
    step(2)
    with pytest.raises(ModelError, match="context of 2 tokens"):
        step(3)


@pytest.mark.parametrize("family", ["gpt2", "qwen2", "gemma", "opt"])
def test_another_architecture_is_refused(family):
    with pytest.raises(ModelError, match=f"'{family}' found"):
        LlamaStep(tiny_model(family))


def test_a_sliding_window_is_refused():
    with pytest.raises(ModelError, match="sliding_window"):
        LlamaStep(tiny_model("mistral"))


def test_another_precision_is_refused():
    with pytest.raises(ModelError, match="float64"):
        LlamaStep(tiny_model("llama").double())


def test_the_exponential_is_that_of_float64_to_seven_digits():
    x = -np.geomspace(1e-6, 87, 4000).astype(np.float32)
    found = np.array([exponential(value) for value in x])
    np.testing.assert_allclose(found, np.exp(x.astype(np.float64)), rtol=3e-7)
    assert exponential(np.float32(-np.inf)) < 1e-37


def test_large_pages_leave_a_weight_where_it_is_as_it_is():
    weight = torch.randn(3000, 1000)
    expected, place = weight.clone(), weight.data_ptr()
    use_large_pages(weight)
    assert weight.data_ptr() == place
    assert torch.equal(weight, expected)
