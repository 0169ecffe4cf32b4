"""Shares of rows grow where a layer's output suffers least."""

import pytest
import torch
from tiny_models import tiny_model

from clada_neuro.models.registry import ffn_layers
from clada_neuro.passes.fitting import Passes
from clada_neuro.passes.layer_error import grown, layer_errors
from clada_neuro.passes.measure import DENSE_PREFIX, quantile

TOKENS = torch.randint(3, 97, (3, 48), generator=torch.Generator().manual_seed(1))
SHARES = torch.arange(1, 10) / 10


def test_a_layers_bytes_meet_the_target_and_the_cheap_site_gives_most() -> None:
    errors = {"input": 100 * SHARES**2, "hidden": SHARES**2}
    size = {"input": 300, "hidden": 100}
    for target in (0.1, 0.25, 0.5):
        shares = grown(errors, size, target)
        assert (300 * shares["input"] + 100 * shares["hidden"]) / 400 == pytest.approx(target)
    assert grown(errors, size, 0.25)["hidden"] > 0.9


def test_equal_sites_give_equal_shares() -> None:
    shares = grown({site: SHARES**3 for site in "abcd"}, dict.fromkeys("abcd", 10), 0.4)
    assert all(share == pytest.approx(0.4, abs=0.02) for share in shares.values())


def _drop_half(module, args):
    x = args[0].clone()
    later = x[:, DENSE_PREFIX:]
    later[later.abs() < quantile(later.abs(), 0.5)] = 0
    return (x, *args[1:])


def _outputs(model, whole, masked) -> torch.Tensor:
    seen: list[torch.Tensor] = []
    handles = [part.register_forward_pre_hook(_drop_half) for part in masked]
    handles.append(whole.register_forward_hook(lambda m, a, y: seen.append(y[0])))
    with torch.no_grad():
        model(TOKENS)
    for handle in handles:
        handle.remove()
    return seen[0]


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
def test_errors_are_those_of_masking_the_model_itself(family) -> None:
    model = tiny_model(family)
    layers = ffn_layers(model)
    weights: dict[str, torch.Tensor] = {}
    passes = Passes(model, layers, TOKENS, None, lambda count: None, "all")  # type: ignore[arg-type]
    found = layer_errors(passes, weights)
    attention = layers[0].attention
    plain = _outputs(model, attention.module, ())
    for site, parts in (("qkv", attention.qkv), ("out", (attention.out,))):
        lost = (plain - _outputs(model, attention.module, parts))[:, DENSE_PREFIX:]
        torch.testing.assert_close(found[site][0, 4], lost.square().sum(-1).mean(), rtol=1e-4, atol=1e-5)
    assert all((table.diff(dim=1) >= -1e-4).float().mean() > 0.8 for table in found.values())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
