"""Which engine `generate` takes, and that it gives the model's own numbers, whatever the model asks for."""

from copy import deepcopy

import pytest
import torch
from tiny_models import VOCABULARY, tiny_model
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache, PreTrainedModel
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from clada_neuro.errors import ModelError
from clada_neuro.policies.dense import Dense
from clada_neuro.runtime.kernels.limits import common, require
from clada_neuro.runtime.kernels.session import KernelSession
from clada_neuro.runtime.runner import runner_for
from clada_neuro.runtime.stepping import Decoder

IDS = torch.randint(0, VOCABULARY, (40,), generator=torch.Generator().manual_seed(3))
PROMPT = 9
ORIGINAL = {"original_max_position_embeddings": 16}
ROTATIONS = {
    "default": {},
    "linear": {"factor": 4.0},
    "dynamic": {"factor": 4.0},
    "yarn": {"factor": 4.0, **ORIGINAL},
    "longrope": {"factor": 4.0, "short_factor": [1.0, 1.1, 1.2], "long_factor": [2.0, 3.0, 4.0], **ORIGINAL},
    "llama3": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, **ORIGINAL},
    "proportional": {"partial_rotary_factor": 0.5},
}
FOLLOW_THE_LENGTH = ("dynamic", "longrope")


def rotating(kind: str) -> PreTrainedModel:
    """A model whose frequencies change, if ever, after 16 tokens."""
    config = AutoConfig.for_model(
        "llama", vocab_size=VOCABULARY, hidden_size=24, intermediate_size=52, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=6,
        max_position_embeddings=16 if kind == "dynamic" else 64,
        rope_parameters={"rope_type": kind, "rope_theta": 100.0, **ROTATIONS[kind]},
    )  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    for weight in model.parameters():
        weight.mul_(8 if weight.dim() == 2 else 1)
    return model


def stepped(model: PreTrainedModel) -> torch.Tensor:
    """transformers' own logits, token by token."""
    cache = DynamicCache(config=model.config)
    parts = [IDS[:PROMPT], *IDS[PROMPT:, None]]
    return torch.stack([model(part[None], past_key_values=cache).logits[0, -1] for part in parts]).float()


def generated(model: PreTrainedModel) -> tuple[type, torch.Tensor]:
    """The engine that `generate` takes, and its logits for the same tokens."""
    with runner_for(model, Dense(), [IDS[:PROMPT]], len(IDS)) as runner, torch.no_grad():
        logits = [runner.prefill()[0].clone()]
        for token in IDS[PROMPT:, None]:
            runner.observe(token)
            logits.append(runner.step(token)[0].clone())
    return type(runner), torch.stack(logits).float()


def close(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> bool:
    return float((found - expected).abs().max() / expected.abs().max()) < tolerance


@pytest.mark.parametrize("kind", ["default", *ROPE_INIT_FUNCTIONS])
def test_every_rotation_of_transformers_gives_the_model_s_logits(kind):
    model = rotating(kind)
    expected = stepped(deepcopy(model))
    engine, found = generated(model)
    assert engine is (Decoder if kind in FOLLOW_THE_LENGTH else KernelSession)
    assert close(found, expected, 1e-5)


@pytest.mark.parametrize("kind", FOLLOW_THE_LENGTH)
def test_frequencies_that_follow_the_length_are_refused_by_every_kernel(kind):
    with pytest.raises(ModelError, match=f"'{kind}' found"):
        require("kernels", common(rotating(kind)))


def test_bfloat16_takes_the_compiled_step_and_sums_in_float32():
    model = tiny_model().bfloat16()
    exact = stepped(deepcopy(model).float())
    engine, found = generated(model)
    assert engine is KernelSession
    # The prompt is read in bfloat16, whose rounding reaches later tokens through the cache.
    assert (found - exact).abs().max() <= (stepped(model) - exact).abs().max()


def test_hooks_and_replaced_maps_are_followed():
    model = tiny_model()
    attention = model.model.layers[0].self_attn
    handle = model.model.layers[1].register_forward_hook(lambda module, args, output: output * 1.5)
    engine, found = generated(model)
    assert engine is Decoder
    assert close(found, stepped(model), 1e-5)
    handle.remove()
    attention.o_proj = torch.nn.Sequential(attention.o_proj, torch.nn.ReLU())
    engine, found = generated(model)
    assert engine is Decoder
    assert close(found, stepped(model), 1e-5)
