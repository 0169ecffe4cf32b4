"""Gradients at both sites against differences of the loss."""

import pytest
import torch
from tiny_models import tiny_model
from torch import nn

from clada_neuro.models.registry import ffn_layers
from clada_neuro.passes.gradients import each_gradient
from clada_neuro.passes.measure import DENSE_PREFIX
from clada_neuro.runtime.policy import HIDDEN, INPUT

TOKENS = torch.randint(3, 97, (5, 48), generator=torch.Generator().manual_seed(5))
LABELS = torch.randint(3, 97, (5, 48), generator=torch.Generator().manual_seed(6))


def gradients(model, tokens, batch):
    """Gradients by site and layer, all texts, and the number of tokens that were told."""
    found, told, given = {}, [], list(LABELS.split(batch))
    each_gradient(
        model,
        ffn_layers(model),
        tokens,
        lambda logits: given.pop(0).flatten(),
        lambda site, layer, values, gradient: found.setdefault((site, layer), []).append(gradient),
        told.append,
        batch=batch,
    )
    return {key: torch.cat(parts) for key, parts in found.items()}, sum(told)


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
@pytest.mark.parametrize("site", [INPUT, HIDDEN])
def test_the_loss_changes_as_gradients_say(family: str, site: str) -> None:
    model = tiny_model(family).double()
    layers = ffn_layers(model)
    found, told = gradients(model, TOKENS, 2)
    assert told == TOKENS.numel()
    assert set(found) == {(name, layer) for name in (INPUT, HIDDEN) for layer in range(len(layers))}
    gradient = found[site, 0]
    step = torch.zeros(*TOKENS.shape, gradient.shape[-1], dtype=gradient.dtype)
    step[:, DENSE_PREFIX:] = gradient / gradient.norm()
    maps = layers[0].inputs if site == INPUT else [layers[0].down]

    def loss(size: float) -> float:
        hooks = [
            part.register_forward_pre_hook(
                lambda module, args: (args[0] + size * step.reshape(args[0].shape),)
            )
            for part in maps
        ]
        with torch.no_grad():
            logits = model(TOKENS).logits.flatten(0, 1)
        for hook in hooks:
            hook.remove()
        return float(nn.functional.cross_entropy(logits, LABELS.flatten(), reduction="sum"))

    assert (loss(1e-4) - loss(-1e-4)) / 2e-4 == pytest.approx(float(gradient.norm()), rel=1e-3)


def test_passes_of_other_sizes_find_the_same_and_leave_nothing() -> None:
    model = tiny_model()
    with torch.no_grad():
        before = model(TOKENS).logits
    (one, _), (other, _) = gradients(model, TOKENS, 1), gradients(model, TOKENS, 5)
    for key in one:
        torch.testing.assert_close(one[key], other[key], rtol=1e-4, atol=1e-7)
    with torch.no_grad():
        assert torch.equal(model(TOKENS).logits, before)
