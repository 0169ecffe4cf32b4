import pytest
import torch
from tiny_models import FAMILIES, POLICY_FAMILIES, tiny_model
from torch import nn

from clada_neuro.errors import ModelError
from clada_neuro.models.families import FAMILIES as DECLARED
from clada_neuro.models.registry import ffn_layers, measured_layers, policy_layers


def _seen(module: nn.Module, inputs: torch.Tensor, model: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what went into a module and what came out, in one pass of the model."""
    kept = []
    handle = module.register_forward_hook(lambda module, args, output: kept.append((args[0], output.clone())))
    with torch.no_grad():
        model(inputs)
    handle.remove()
    return kept[0]


def test_every_family_is_tested() -> None:
    assert set(FAMILIES) == set(DECLARED)


@pytest.mark.parametrize("family", DECLARED)
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


@pytest.mark.parametrize("family", DECLARED)
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
    with pytest.raises(
        ModelError, match=r"^model type 'codegen' is not supported; supported are llama.*gpt_neox"
    ):
        ffn_layers(tiny_model("codegen"))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("mamba", "model type 'mamba' has no feed-forward block that is known here"),
        ("rwkv", "model type 'rwkv' has no feed-forward block that is known here"),
    ],
)
def test_a_model_without_known_blocks_is_measured_without_them(kind: str, reason: str) -> None:
    layers, why = measured_layers(tiny_model(kind))
    assert (layers, why) == ([], reason)
    assert measured_layers(tiny_model("gemma2"))[1] == ""


@pytest.mark.parametrize("kind", [*sorted(set(DECLARED) - set(POLICY_FAMILIES)), "mamba"])
def test_families_that_are_measured_only_are_refused_by_policies(kind: str) -> None:
    with pytest.raises(ModelError, match=f"'{kind}' is measured, but does not run under policies; llama"):
        policy_layers(tiny_model(kind))


def test_mixture_of_experts_is_refused() -> None:
    with pytest.raises(ModelError, match="mixture of experts"):
        ffn_layers(tiny_model("mixtral"))


def test_quantised_maps_are_refused() -> None:
    model = tiny_model("llama")
    quantised = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    with pytest.raises(ModelError, match="unquantised linear map expected"):
        ffn_layers(quantised)
    declared = tiny_model("llama")
    declared.config.quantization_config = {"quant_method": "gptq"}
    with pytest.raises(ModelError, match="is quantised"):
        ffn_layers(declared)
    assert measured_layers(declared)[1].startswith("model of type 'llama' is quantised")
