"""Thresholds of a model without calibration."""

import pytest
import torch
from tiny_models import tiny_model

from clada_neuro.models.registry import ffn_layers
from clada_neuro.passes.passage import Passage
from clada_neuro.runtime.policy import HIDDEN, INPUT

IDS = torch.randint(3, 97, (40,), generator=torch.Generator().manual_seed(0))


def test_thresholds_drop_the_wanted_share_of_rows():
    model = tiny_model("llama")
    norms = {INPUT: torch.stack([ffn.input_norms for ffn in ffn_layers(model)])}
    dropped = {INPUT: torch.tensor([0.3, 0.5]), HIDDEN: torch.tensor([0.6, 0.2])}
    table = Passage(model, IDS, 0.4).thresholds(dropped, norms)
    seen = {}
    handle = ffn_layers(model)[0].inputs[0].register_forward_pre_hook(lambda _, args: seen.update(x=args[0]))
    model(IDS[None])
    handle.remove()
    assert float(
        (seen["x"][0, 1:].abs() * norms[INPUT][0] < table[INPUT][0]).float().mean()
    ) == pytest.approx(0.3, abs=0.005)
    assert not ffn_layers(model)[0].inputs[0]._forward_pre_hooks


def test_in_scope_all_shares_of_every_site_meet_the_sparsity():
    model = tiny_model("llama")
    passage = Passage(model, IDS, 0.4, scope="all")
    table = passage.thresholds(passage.dropped, passage.norms)
    attention = ffn_layers(model)[0].attention
    seen = []
    handle = attention.out.register_forward_pre_hook(lambda _, args: seen.append(args[0][0, 1:]))
    model(IDS[None])
    handle.remove()
    below = (seen[0].abs() * attention.out_norms < table["out"][0]).float().mean()
    assert float(below) == pytest.approx(1.1 * 0.4, abs=0.005)
    assert set(table) == {"input", "hidden", "qkv", "out"}
    assert not attention.out._forward_pre_hooks
