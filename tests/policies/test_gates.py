"""Policies that read one map of a gated block whole and decide from it: the gate (CATS, CHESS), or up (M-COUNTDOWN)."""

import pytest
import torch
from selecting import selected
from tiny_models import tiny_model

from clada_neuro.models.registry import ffn_layers
from clada_neuro.models.watching import watching
from clada_neuro.passes.fitting import Passes
from clada_neuro.passes.measure import DENSE_PREFIX
from clada_neuro.policies.cats import Cats
from clada_neuro.policies.chess import Chess, up_means
from clada_neuro.policies.m_countdown import MCountdown
from clada_neuro.runtime.attach import attach


def test_cats_thresholds_the_gate() -> None:
    policy = Cats({"gate": torch.tensor([0.3])}, {})
    assert selected(policy, "gate", [0.29, -0.31, 0.3]) == [0, 1, 1]


def test_cats_decides_from_the_gate_alone() -> None:
    """A neuron with a large gate is kept however small W_u x is."""
    model = tiny_model("llama")
    gates = {}
    mlp = model.model.layers[0].mlp
    mlp.gate_proj.register_forward_hook(lambda m, a, out: gates.update(g=mlp.act_fn(out)))
    with attach(model, Cats({"gate": torch.full((2,), 0.2)}, {})) as session, torch.no_grad():
        session.begin(1)
        session.plan(torch.ones(1, 4), torch.zeros(1, 4, dtype=torch.bool))
        model(torch.tensor([[3, 4, 5, 6]]))
        assert torch.equal(session.masks[0, "gate"], gates["g"].abs() >= 0.2)
        share = session.masks[0, "gate"].float().mean()
        torch.testing.assert_close(session.ffn_sparsity()[..., 0].mean(), (1 - share) * 2 / 3)


def test_chess_gives_every_neuron_a_threshold_of_its_own() -> None:
    # products 1·2, 3·.5 and .5·4 against 2: on the gate itself the thresholds are 1, 4 and .5
    policy = Chess({"gate": torch.tensor([2.0])}, {"gate": torch.tensor([[2.0, 0.5, 4.0]])})
    assert selected(policy, "gate", [1.0, 3.0, -0.5]) == [1, 0, 1]
    assert selected(policy, "gate", [0.9, -4.1, 0.4]) == [0, 1, 0]


@pytest.mark.parametrize("family", ["llama", "phi3"])
def test_chess_weighs_by_what_the_up_map_gives(family: str) -> None:
    model, seen = tiny_model(family), {}
    layers = ffn_layers(model)
    tokens = torch.randint(3, 60, (2, DENSE_PREFIX + 9), generator=torch.Generator().manual_seed(0))
    found = up_means(Passes(model, layers, tokens, None, lambda count: None))
    with watching(layers, x=lambda ffn, x: seen.update({ffn.layer: x})), torch.no_grad():
        model(tokens)
    for ffn in layers:
        up = seen[ffn.layer][:, DENSE_PREFIX:] @ ffn.input_weight[ffn.intermediate_size :].T
        torch.testing.assert_close(found[ffn.layer], up.abs().mean((0, 1)), rtol=1e-4, atol=1e-6)


def test_m_countdown_thresholds_what_the_up_map_gives() -> None:
    policy = MCountdown({"up": torch.tensor([0.3])}, {})
    assert selected(policy, "up", [0.29, -0.31, 0.3]) == [0, 1, 1]


@pytest.mark.parametrize("family", ["llama", "phi3", "gpt2"])
def test_m_countdown_decides_from_up_alone(family: str) -> None:
    """A neuron with a large u is kept however small its gate is; a plain block has no up map, and a decides."""
    model, seen, left = tiny_model(family), {}, {}
    layers = ffn_layers(model)
    tokens, cutoff = torch.tensor([[3, 4, 5, 6]]), 0.02
    with (
        attach(model, MCountdown({"up": torch.full((len(layers),), cutoff)}, {})) as session,
        watching(
            layers, x=lambda ffn, x: seen.update({ffn.layer: x}), a=lambda ffn, a: left.update({ffn.layer: a})
        ),
        torch.no_grad(),
    ):
        session.begin(1)
        session.plan(torch.ones(1, 4), torch.zeros(1, 4, dtype=torch.bool))
        model(tokens)
        masks = {ffn.layer: session.masks[ffn.layer, "up"] for ffn in layers}
        sparsity = session.ffn_sparsity()
    for ffn in layers:
        x, mask = seen[ffn.layer].reshape(1, 4, -1), masks[ffn.layer]
        with torch.no_grad():
            a = ffn.hidden(x)
        up = x @ ffn.input_weight[ffn.intermediate_size :].T if ffn.gated else a
        assert torch.equal(mask, up.abs() >= cutoff)
        assert 0 < mask.float().mean() < 1
        torch.testing.assert_close(left[ffn.layer].reshape(a.shape), a * mask)
        spared = (1 - mask.float().mean(-1)) * (2 / 3 if ffn.gated else 1 / 2)
        torch.testing.assert_close(sparsity[..., ffn.layer], spared)
