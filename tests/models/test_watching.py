"""Watching shows what the maps of every block read, in order, and leaves the model as it was."""

import pytest
import torch
from tiny_models import POLICY_FAMILIES, tiny_model

from clada_neuro.models.registry import ffn_layers
from clada_neuro.models.watching import watching

IDS = torch.randint(3, 97, (1, 7), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("family", POLICY_FAMILIES)
def test_what_is_shown_is_what_the_block_computes_from(family):
    model = tiny_model(family)
    layers, seen = ffn_layers(model), []
    with (
        torch.no_grad(),
        watching(layers, x=lambda *it: seen.append(("x", *it)), a=lambda *it: seen.append(("a", *it))),
    ):
        model(IDS)
    assert [(what, ffn.layer) for what, ffn, _ in seen] == [
        (what, ffn.layer) for ffn in layers for what in ("x", "a")
    ]
    for (_, ffn, x), (_, _, a) in zip(seen[::2], seen[1::2], strict=True):
        torch.testing.assert_close(ffn.hidden(x), a, rtol=1e-4, atol=1e-4)


def test_nothing_is_left_behind_also_after_an_error():
    model = tiny_model("llama")

    def stop(ffn, a):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"), watching(ffn_layers(model), a=stop):
        model(IDS)
    assert not any(part._forward_pre_hooks for part in model.modules())
