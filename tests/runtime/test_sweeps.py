"""What sweeps compute is what a model's own parts compute, and nothing of them is left behind."""

import sys

import pytest
import torch
from tiny_models import FAMILIES, tiny_model

from clada_neuro.models.registry import ffn_layers
from clada_neuro.runtime.sweeps import swept

IDS = torch.arange(3, 103).reshape(2, 50) % 60


def replaced(model):
    return {name for name, part in model.named_modules() if "forward" in vars(part)}


@pytest.mark.parametrize("kind", FAMILIES)
@torch.inference_mode()
def test_logits_and_activations_are_those_of_the_model(kind):
    model, seen = tiny_model(kind), []
    hooks = [ffn.down.register_forward_pre_hook(lambda _, x: seen.append(x[0])) for ffn in ffn_layers(model)]
    expected = model(IDS).logits
    own = len(seen)
    with swept(model):
        found = model(IDS).logits
    for hook in hooks:
        hook.remove()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    for one, other in zip(seen[own:], seen[:own], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert not replaced(model)
    assert torch.equal(model(IDS).logits, expected)


@torch.inference_mode()
def test_what_is_known_is_replaced_and_nothing_else():
    model = tiny_model("llama")
    with swept(model):
        norms, blocks = ({name for name in replaced(model) if name.endswith(end)} for end in ("norm", "mlp"))
        assert len(norms) == 2 * model.config.num_hidden_layers + 1
        assert len(blocks) == model.config.num_hidden_layers
        assert replaced(model) == norms | blocks
    for kind in ("gpt2", "gemma"):  # no such norm or gate; one that adds 1 to its weights, and GELU
        with swept(other := tiny_model(kind)):
            assert not replaced(other)
    with swept(exact := tiny_model("llama").double()):
        assert not replaced(exact)
    with pytest.raises(RuntimeError, match="inside"), swept(model):
        raise RuntimeError("inside")
    assert not replaced(model)


@torch.inference_mode()
def test_what_is_missing_stays_missing():
    model = tiny_model("llama")
    model.model.layers[0].mlp.gate_proj.weight[0] = torch.nan
    with swept(model):
        assert model(IDS).logits.isnan().all()


def test_a_familys_rotation_is_its_own_again_after_the_last_pass_under_way():
    """Passes of two models of a family begin and end in any order, as in two threads."""
    family = sys.modules[type(tiny_model("llama")).__module__]
    usual = family.apply_rotary_pos_emb
    first, second = swept(tiny_model("llama")), swept(tiny_model("llama"))
    first.__enter__()
    second.__enter__()
    assert family.apply_rotary_pos_emb is not usual
    first.__exit__(None, None, None)
    assert family.apply_rotary_pos_emb is not usual
    second.__exit__(None, None, None)
    assert family.apply_rotary_pos_emb is usual
