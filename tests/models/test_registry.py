import pytest
import torch
from tiny_models import FAMILIES, tiny_model
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from clada_neuro.errors import ModelError
from clada_neuro.models.registry import SUPPORTED, ffn_layers


def _seen(module: nn.Module, inputs: torch.Tensor, model: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what went into a module and what came out, in one pass of the model."""
    kept = []
    handle = module.register_forward_hook(lambda module, args, output: kept.append((args[0], output.clone())))
    with torch.no_grad():
        model(inputs)
    handle.remove()
    return kept[0]


def test_every_family_is_tested() -> None:
    assert set(FAMILIES) == set(SUPPORTED)


@pytest.mark.parametrize("family", SUPPORTED)
def test_adapter_recomputes_what_the_model_computes(family: str) -> None:
    model = tiny_model(family)
    tokens = torch.tensor([[3, 40, 5, 60]])
    for layer, ffn in enumerate(ffn_layers(model)):
        assert ffn.layer == layer
        x, _ = _seen(ffn.inputs[0], tokens, model)
        a, y = _seen(ffn.down, tokens, model)
        torch.testing.assert_close(ffn.hidden(x), a)
        torch.testing.assert_close(ffn.output(a), y)
        bias = ffn.down.bias if ffn.down.bias is not None else 0
        torch.testing.assert_close(a @ ffn.neuron_rows + bias, y)
        first = torch.cat([part(x) for part in ffn.inputs], dim=-1)
        first_bias = torch.cat([p.bias for p in ffn.inputs]) if ffn.inputs[0].bias is not None else 0
        torch.testing.assert_close(x @ ffn.input_rows + first_bias, first)


@pytest.mark.parametrize("family", SUPPORTED)
def test_norms_are_those_of_single_rows(family: str) -> None:
    """Feeding one neuron alone gives an output whose norm is c_i: catches GPT-2's transposed weights."""
    ffn = ffn_layers(tiny_model(family))[1]
    alone = torch.zeros(ffn.intermediate_size)
    alone[7] = 1.0
    output = ffn.output(alone) - ffn.output(torch.zeros(ffn.intermediate_size))
    torch.testing.assert_close(output.norm(), ffn.neuron_norms[7])
    assert ffn.neuron_norms.shape == (ffn.intermediate_size,)
    assert ffn.input_norms.shape == (ffn.hidden_size,)


def test_unknown_architecture_lists_what_is_supported() -> None:
    config = AutoConfig.for_model("gptj", vocab_size=50, n_embd=16, n_layer=1, n_head=2, rotary_dim=4)
    with pytest.raises(ModelError, match=r"'gptj' is not supported.*llama.*gpt_neox"):
        ffn_layers(AutoModelForCausalLM.from_config(config))


def test_mixture_of_experts_is_refused() -> None:
    config = AutoConfig.for_model(
        "mixtral", vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, num_local_experts=2,
    )  # fmt: skip
    with pytest.raises(ModelError, match="mixture of experts"):
        ffn_layers(AutoModelForCausalLM.from_config(config))


def test_quantised_maps_are_refused() -> None:
    model = tiny_model("llama")
    quantised = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    with pytest.raises(ModelError, match="unquantised linear map expected"):
        ffn_layers(quantised)
    declared = tiny_model("llama")
    declared.config.quantization_config = {"quant_method": "gptq"}
    with pytest.raises(ModelError, match="is quantised"):
        ffn_layers(declared)
