"""The activity of mixtures of experts, against every neuron computed by hand in float64."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from test_architectures import forward_of, in_float64, measured, roles, texts  # noqa: F401
from tiny_models import tiny_model
from torch import nn

from clada_neuro.models.mixtures import MIXTURES
from clada_neuro.models.registry import measured_layers

IDS = texts()[0][4]


def silu(x):
    return x * torch.sigmoid(x)


def by_hand(kind, model):
    """Return the contributions of each layer as they follow from the weights, with how many neurons a token passed."""
    caught = []
    handles = [
        module.register_forward_pre_hook(lambda module, args: caught.append((module, args)))
        for name, module in model.named_modules()
        if name.endswith(".experts")
    ]
    model(input_ids=torch.tensor([[1, *IDS]]), use_cache=False)
    for handle in handles:
        handle.remove()
    return [(module, layer_by_hand(kind, model, module, *args)) for module, args in caught]


def layer_by_hand(kind, model, module, x, chosen, weights):
    experts, k = module.down_proj.shape[0], chosen.shape[1]
    rows, outputs = [], []
    for token in range(len(x)):
        row, output = [torch.zeros(0)] * experts, x.new_zeros(x.shape[1])
        for expert in range(experts):
            gate_up, down = module.gate_up_proj[expert], module.down_proj[expert]
            width = down.shape[0 if kind == "gpt_oss" else 1]
            row[expert] = x.new_zeros(width)
            if expert not in chosen[token]:
                continue
            g = weights[token, chosen[token].tolist().index(expert)]
            if kind == "gpt_oss":
                both = x[token] @ gate_up + module.gate_up_proj_bias[expert]
                gate, up = both[::2].clamp(max=module.limit), both[1::2].clamp(-module.limit, module.limit)
                a = (up + 1) * gate * torch.sigmoid(module.alpha * gate)
                norms, written = down.norm(dim=1), a @ down + module.down_proj_bias[expert]
            else:
                gate, up = (gate_up @ x[token]).chunk(2)
                a = silu(gate) * up
                norms, written = down.norm(dim=0), down @ a
            row[expert] = g * a.abs() * norms
            output += g * written
        rows.append(torch.cat(row))
        outputs.append(output)
    torch.testing.assert_close(module(x, chosen, weights), torch.stack(outputs))
    e, ran = torch.stack(rows), k * width
    (block,) = (one for one in model.modules() if getattr(one, "experts", None) is module)
    for name in ("shared_expert", "shared_experts"):
        if hasattr(block, name):
            shared = getattr(block, name)
            a = silu(shared.gate_proj(x)) * shared.up_proj(x)
            common = a.abs() * shared.down_proj.weight.norm(dim=0)
            if isinstance(getattr(block, "shared_expert_gate", None), nn.Linear):
                common = common * torch.sigmoid(block.shared_expert_gate(x))
            e, ran = torch.cat([e, common], dim=1), ran + common.shape[1]
    return e.numpy(), ran


def measures(e: np.ndarray, ran: int) -> dict[str, np.ndarray]:
    """Return the measures of the tokens after the first two, by their formulas."""
    found = {
        name: []
        for name in ("sparsity_energy99", "hoyer", "participation_ratio", "overlap_prev", "adjustment_prev")
    }
    for before, now in pairwise(e[1:]):
        sets = []
        for one in (before, now):
            order = np.argsort(-one)
            energy = np.cumsum(one[order] ** 2) / (one**2).sum()
            sets.append(set(order[: int((energy < 0.99).sum()) + 1]))
        found["sparsity_energy99"].append(1 - len(sets[1]) / ran)
        found["hoyer"].append((ran**0.5 - now.sum() / np.linalg.norm(now)) / (ran**0.5 - 1))
        found["participation_ratio"].append((now**2).sum() ** 2 / (ran * (now**4).sum()))
        found["overlap_prev"].append(len(sets[0] & sets[1]) / len(sets[0] | sets[1]))
        found["adjustment_prev"].append(1 - before @ now / np.linalg.norm(before) / np.linalg.norm(now))
    return {name: np.array(values) for name, values in found.items()}


@pytest.mark.parametrize("kind", MIXTURES)
def test_activity_is_that_of_the_experts_that_ran(kind):
    model = tiny_model(kind, scale=4.0)
    (got,) = measured(forward_of(model), [IDS], [0])
    blocks, reason = measured_layers(model)
    assert not reason
    exact = by_hand(kind, in_float64(kind, model))
    assert exact
    for module, (e, ran) in exact:
        (layer,) = (place for place, block in enumerate(blocks) if block.module is module)
        assert ran < e.shape[1] or kind == "jamba"
        for name, values in measures(e, ran).items():
            np.testing.assert_allclose(got.activity[name][2:, layer], values, atol=2e-4, err_msg=name)


def test_layers_without_experts_are_gated_blocks():
    model = tiny_model("deepseek_v3")
    kinds = [type(block).__name__ for block in measured_layers(model)[0]]
    assert kinds == ["FFN", "Experts"]


def test_a_mixture_that_is_not_declared_says_so():
    model = tiny_model("mixtral")
    model.config.model_type = "newmoe"
    assert measured_layers(model) == (
        [],
        "model type 'newmoe' is a mixture of experts that are not known here",
    )
