"""Each baseline's rule on numbers worked out by hand."""

import torch
from tiny_models import tiny_model

from clada_neuro.policies.cats import Cats
from clada_neuro.policies.dense import Dense
from clada_neuro.policies.griffin import Griffin
from clada_neuro.policies.teal import Teal
from clada_neuro.policies.threshold import ThresholdTruncation
from clada_neuro.policies.wina import Wina
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.policy import Policy, State
from clada_neuro.runtime.prefix import Prefix


def state(policy: Policy, prefix: Prefix | None = None) -> State:
    found = policy.init(prefix or Prefix(1))
    found.scale = torch.ones(1, 1)
    return found


def selected(policy: Policy, site: str, values: list[float], of: State | None = None) -> list[int]:
    mask = policy.select(0, site, torch.tensor([[values]]), of or state(policy))
    return mask[0, 0].int().tolist()


def test_dense_keeps_everything() -> None:
    assert selected(Dense(), "hidden", [0.0, -1.0]) == [1, 1]


def test_griffin_keeps_the_prompts_strongest_relative_activations() -> None:
    # rows normalised: (.6, .8, 0, 0) and (0, 0, 1, 0): scores s² = .36, .64, 1, 0; the size of a row does not count
    prefix = Prefix(1)
    prefix.update(
        0, torch.tensor([[[30.0, 40.0, 0.0, 0.0], [0.0, 0.0, 0.1, 0.0]]]), torch.ones(1, 2, dtype=torch.bool)
    )
    policy = Griffin(sparsity=0.5)
    assert selected(policy, "neuron", [9.0, 9.0, 9.0, 9.0], state(policy, prefix)) == [0, 1, 1, 0]
    assert selected(Griffin(sparsity=0.25), "neuron", [0.0] * 4, state(policy, prefix)) == [1, 1, 1, 0]


def test_tt_thresholds_the_norm_of_a_neurons_output() -> None:
    policy = ThresholdTruncation({"hidden": torch.tensor([1.0])}, {"hidden": torch.tensor([[2.0, 0.5, 1.0]])})
    assert selected(policy, "hidden", [0.5, 1.9, -1.1]) == [1, 0, 1]


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


def test_teal_thresholds_magnitudes() -> None:
    policy = Teal({"input": torch.tensor([1.0]), "hidden": torch.tensor([0.1])}, {})
    assert selected(policy, "input", [0.9, -1.0, 3.0]) == [0, 1, 1]
    assert selected(policy, "hidden", [0.05, -0.2, 0.0]) == [0, 1, 0]


def test_wina_keeps_the_top_products_of_each_token() -> None:
    weights = {"input": torch.tensor([[1.0, 10.0, 1.0, 0.1]]), "hidden": torch.ones(1, 4)}
    policy = Wina({"input": torch.tensor([0.5]), "hidden": torch.tensor([0.0])}, weights)
    # products 3, 5, 2, .4: the magnitudes alone would keep 3 and 4
    assert selected(policy, "input", [3.0, 0.5, -2.0, 4.0]) == [1, 1, 0, 0]
    assert selected(policy, "hidden", [3.0, 0.5, -2.0, 0.0]) == [1, 1, 1, 1]
