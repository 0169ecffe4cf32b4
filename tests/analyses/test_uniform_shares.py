"""`analyses/33_uniform_shares.py`: changes of one thing, and losses of what drops nothing."""

import pytest
import torch
from analysis_scripts import load
from tiny_models import tiny_model, tiny_policy

from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.registry import ffn_layers
from clada_neuro.policies.dense import Dense
from clada_neuro.policies.teal import Teal
from clada_neuro.policies.wina import Wina
from clada_neuro.runtime.thresholds import norms

uniform = load("33_uniform_shares")
TOKENS = torch.randint(3, 97, (2, uniform.PREFIX + 12), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model():
    return LanguageModel("tiny", tiny_model(), None, 0, "hash")


def test_a_change_leaves_something_out_at_some_sites_or_layers_alone():
    shares = {"qkv": torch.tensor([0.3, 0.5]), "out": torch.tensor([0.1, 0.2])}
    assert uniform.at_sites({"qkv"})(shares)["qkv"].tolist() == pytest.approx([0.3, 0.5])
    assert uniform.at_sites({"qkv"})(shares)["out"].tolist() == [0, 0]
    assert uniform.at_layers({1})(shares)["out"].tolist() == pytest.approx([0, 0.2])


def test_losses_are_those_of_the_model_and_shares_those_left_out(model):
    with torch.no_grad():
        log_p = model.model(TOKENS).logits.double().log_softmax(-1)
    after = slice(uniform.PREFIX, -1)
    targets = TOKENS[:, uniform.PREFIX + 1 :, None]
    by_hand = -log_p[:, after].gather(-1, targets).squeeze(-1).mean(1)
    found, dropped = uniform.losses(model, Dense(), TOKENS)
    torch.testing.assert_close(found.double(), by_hand, rtol=1e-5, atol=1e-5)
    assert dropped == {}
    layers = ffn_layers(model.model)
    halves = {site: torch.tensor([0.5, 0.25]) for site in uniform.SITES["all"]}
    wina = Wina(halves, norms(layers, "all"))
    sparse, dropped = uniform.losses(model, wina, TOKENS)
    assert not torch.allclose(sparse, found)
    torch.testing.assert_close(dropped["qkv"], halves["qkv"], rtol=0.1, atol=0.03)


def test_cells_differ_in_one_thing(model):
    layers = ffn_layers(model.model)
    shares = {site: torch.full((2,), 0.5) for site in uniform.SITES["all"]}
    teal = Teal({site: torch.full((2,), 0.4) for site in shares}, {})
    wina = Wina(shares, norms(layers, "all"))
    found = uniform.cells(teal, wina, tiny_policy(model.model, scope="all"), shares)
    only, but = found["teal", "only qkv of layer 0"], found["teal", "but qkv of layer 0"]
    for site in shares:
        torch.testing.assert_close(only.thresholds[site] + but.thresholds[site], teal.thresholds[site])
    assert only.thresholds["qkv"].tolist() == pytest.approx([0.4, 0])
    assert float(sum(own.sum() for own in only.thresholds.values())) == pytest.approx(0.4)
    assert found["teal", "CLADA's shares"].weights["qkv"].eq(1).all()
