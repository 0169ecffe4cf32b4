"""Maps of attention are found in every family, and are all that attention reads and gives."""

import pytest
import torch
from tiny_models import FAMILIES, tiny_model
from torch import nn

from clada_neuro.errors import ModelError
from clada_neuro.models.families import FAMILIES as DECLARED
from clada_neuro.models.families import Family
from clada_neuro.models.ffn import FFN
from clada_neuro.models.registry import ffn_layers

IDS = torch.tensor([[3, 40, 5, 60]])


def _arrivals(
    model: nn.Module, parts: tuple[nn.Module, ...]
) -> list[tuple[nn.Module, torch.Tensor, torch.Tensor]]:
    seen: list[tuple[nn.Module, torch.Tensor, torch.Tensor]] = []
    handles = [
        part.register_forward_hook(
            lambda module, args, output: seen.append((module, args[0], output.clone()))
        )
        for part in parts
    ]
    with torch.no_grad():
        model(IDS)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize("family", FAMILIES)
def test_maps_are_called_in_order_with_one_input_and_compute_by_their_weights(family: str) -> None:
    model = tiny_model(family)
    for ffn in ffn_layers(model):
        maps = ffn.attention
        seen = _arrivals(model, (*maps.qkv, maps.out))
        assert [module for module, _, _ in seen] == [*maps.qkv, maps.out]
        *first, (_, mixed, y) = seen
        x = first[0][1]
        assert all(torch.equal(arrived, x) for _, arrived, _ in first)
        bias = torch.cat([p.bias for p in maps.qkv]) if maps.qkv[0].bias is not None else 0
        torch.testing.assert_close(
            x @ maps.qkv_weight.t() + bias, torch.cat([out for _, _, out in first], -1)
        )
        bias = maps.out.bias if maps.out.bias is not None else 0
        torch.testing.assert_close(mixed @ maps.out_weight.t() + bias, y)
        assert (maps.hidden_size, maps.mixed_size) == (x.shape[-1], mixed.shape[-1])


@pytest.mark.parametrize("family", FAMILIES)
def test_norms_are_those_of_what_one_input_reaches(family: str) -> None:
    maps = ffn_layers(tiny_model(family))[1].attention
    alone = torch.zeros(2, maps.hidden_size)
    alone[1, 7] = 1.0
    reached = torch.cat([part(alone)[1] - part(alone)[0] for part in maps.qkv])
    torch.testing.assert_close(reached.norm(), maps.qkv_norms[7])
    assert maps.out_norms.shape == (maps.mixed_size,)


def test_a_layer_without_these_maps_says_what_is_missing() -> None:
    model = tiny_model("gpt2")
    layer = model.transformer.h[0]
    elsewhere = Family(inputs=("c_fc",), down="c_proj", activation="act")
    with pytest.raises(
        ModelError, match=r"layer 0 has no maps q_proj, k_proj, v_proj and o_proj .*scope ffn"
    ):
        _ = FFN(0, layer.mlp, elsewhere, layer).attention
    with pytest.raises(ModelError, match=r"layer 0 has no maps .*no layer that holds attention.*scope ffn"):
        _ = FFN(0, layer.mlp, DECLARED["gpt2"]).attention


def test_a_quantised_map_of_attention_is_refused_where_attention_is_asked_for() -> None:
    model = tiny_model("llama")
    attention = model.model.layers[1].self_attn
    attention.o_proj = nn.Sequential(attention.o_proj)
    with pytest.raises(ModelError, match="layer 1: attention holds a Sequential, an unquantised linear map"):
        _ = ffn_layers(model)[1].attention
