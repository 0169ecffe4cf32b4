"""Rows of attention's maps are left out as a hand computation does, in every family, beside those of the block."""

import dataclasses

import pytest
import torch
from tiny_models import POLICY_FAMILIES, tiny_model, tiny_policy

from clada_neuro.errors import ModelError
from clada_neuro.models.registry import ffn_layers
from clada_neuro.policies.dense import Dense
from clada_neuro.policies.teal import Teal
from clada_neuro.policies.wina import Wina
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.kernels.selection import check_policy
from clada_neuro.runtime.policy import attention_reads, reads, rows, scope_reads
from clada_neuro.runtime.scoring import score
from clada_neuro.runtime.thresholds import norms

IDS = torch.tensor([[3, 40, 5, 60, 17, 9]])
TEXTS = [torch.randint(3, 97, (n,), generator=torch.Generator().manual_seed(4)).tolist() for n in (30, 12, 8)]
SITES = ("input", "hidden", "qkv", "out")


def follow(model, policy, prefix: int = 2):
    with attach(model, policy) as session, torch.no_grad():
        session.begin(1)
        scale = torch.full(IDS.shape, policy.base_scale)
        scale[:, :prefix] = 0
        session.plan(scale, torch.zeros(IDS.shape, dtype=torch.bool))
        return model(IDS).logits, dict(session.masks)


def everywhere(model, value: float) -> dict[str, torch.Tensor]:
    return {site: torch.full((len(ffn_layers(model)),), value) for site in SITES}


@pytest.mark.parametrize("family", POLICY_FAMILIES)
def test_nothing_dropped_is_the_plain_model_and_leaving_restores_it(family):
    model = tiny_model(family)
    with torch.no_grad():
        plain = model(IDS).logits
    for policy in (
        tiny_policy(model, threshold=0.0, scope="all"),
        Teal(everywhere(model, 0.0), {}),
        Wina(everywhere(model, 0.0), norms(ffn_layers(model), "all")),
    ):
        assert policy.attention_sites == ("qkv", "out")
        full, masks = follow(model, policy)
        assert len(masks) == 2 * len(SITES)
        assert (full - plain).abs().max() <= 1e-5 * plain.abs().max()
    partial, _ = follow(model, tiny_policy(model, scope="all"))
    assert torch.equal(partial[:, :2], plain[:, :2])
    assert not torch.allclose(partial[:, 2:], plain[:, 2:], atol=1e-3)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("family", POLICY_FAMILIES)
def test_what_maps_of_attention_give_is_what_a_hand_computes_from_the_rule(family):
    model = tiny_model(family)
    policy = tiny_policy(model, scope="all")
    arrived, given, dropped = {}, {}, []
    handles = []
    for ffn in ffn_layers(model):
        for number, part in enumerate((*ffn.attention.qkv, ffn.attention.out)):
            key = (ffn.layer, number)
            # Registered before the policy's: sees what arrives unmasked, and what the map gives before compensation.
            handles.append(
                part.register_forward_pre_hook(
                    lambda m, args, key=key: arrived.update({key: args[0].clone()})
                )
            )
            handles.append(
                part.register_forward_hook(lambda m, args, y, key=key: given.update({key: y.clone()}))
            )
    _, masks = follow(model, policy)
    for handle in handles:
        handle.remove()
    for ffn in ffn_layers(model):
        maps = ffn.attention
        for number, part in enumerate((*maps.qkv, maps.out)):
            site = "out" if part is maps.out else "qkv"
            weights = maps.out_norms if site == "out" else maps.qkv_norms
            values = arrived[ffn.layer, number]
            mask = values.abs() * weights >= policy.thresholds[site][ffn.layer]
            mask[:, :2] = True  # the dense prefix
            assert torch.equal(masks[ffn.layer, site], mask)
            dropped.append(float((~mask[:, 2:]).float().mean()))
            with torch.no_grad():
                torch.testing.assert_close(given[ffn.layer, number], part(values * mask))
    assert 0.05 < sum(dropped) / len(dropped) < 0.95


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox"])
def test_each_map_gets_its_own_part_of_what_stands_in(family):
    model = tiny_model(family)
    maps = ffn_layers(model)[0].attention
    width = maps.qkv_weight.shape[0]
    policy = tiny_policy(model, scope="all")
    own = dataclasses.replace(policy.mean_at["qkv"], bias=policy.mean_at["qkv"].bias.clone())
    own.bias[1] = torch.arange(width) + 1.0
    policy = dataclasses.replace(policy, mean_at={"qkv": own})
    plain, made_up = [], []
    first = [part.register_forward_hook(lambda m, a, y: plain.append(y.clone())) for part in maps.qkv]
    with attach(model, policy) as session, torch.no_grad():
        last = [part.register_forward_hook(lambda m, a, y: made_up.append(y.clone())) for part in maps.qkv]
        session.begin(1)
        session.plan(torch.tensor([[0.0, 0.0, 1.0, 1.0, 1.0, 1.0]]), torch.zeros(IDS.shape, dtype=torch.bool))
        model(IDS)
    for handle in first + last:
        handle.remove()
    added = torch.cat(made_up, -1) - torch.cat(plain, -1)
    torch.testing.assert_close(added[0, 2:], (torch.arange(width) + 1.0).expand(4, -1), rtol=1e-4, atol=1e-4)
    assert (added[:, :2] == 0).all()


@pytest.mark.parametrize("family", POLICY_FAMILIES)
def test_one_pass_equals_lock_step_equals_one_by_one(family):
    model = tiny_model(family)
    weights = norms(ffn_layers(model), "all")
    for policy in (tiny_policy(model, gamma=0.3, scope="all"), Wina(everywhere(model, 0.4), weights)):
        together = score(model, policy, TEXTS, prefix=3)
        for other in (
            score(model, policy, TEXTS, prefix=3, stepwise=True),
            [score(model, policy, [text], prefix=3)[0] for text in TEXTS],
        ):
            for a, b in zip(together, other, strict=True):
                for name in ("surprisal_bits", "ffn_sparsity", "sparsity"):
                    torch.testing.assert_close(
                        getattr(a, name), getattr(b, name), equal_nan=True, rtol=1e-4, atol=1e-4
                    )
                torch.testing.assert_close(a.dropped, b.dropped, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
def test_later_tokens_change_nothing_earlier(family):
    model = tiny_model(family)
    policy = tiny_policy(model, gamma=0.3, kappa=0.3, scope="all")
    changed = [*TEXTS[1][:6], *(70, 71, 72, 73)]
    first, second = (score(model, policy, [text], prefix=2)[0] for text in (TEXTS[1], changed))
    for name in ("surprisal_bits", "entropy_bits", "sparsity", "load"):
        torch.testing.assert_close(getattr(first, name)[:6], getattr(second, name)[:6], equal_nan=True)


@pytest.mark.parametrize(
    ("family", "row"),
    [
        # hidden 24, 4 heads and 2 groups of 6: rows of 4·48 = 192 bytes of q, k, v, and of 4·24 = 96 → 128 of o
        ("llama", {"qkv": 192, "out": 128}),
        # 4·72 = 288 → 320
        ("gpt2", {"qkv": 320, "out": 128}),
    ],
)
def test_bytes_of_attention_count_by_cache_line(family, row):
    ffn = ffn_layers(tiny_model(family))[0]
    of_layer = attention_reads(ffn.attention)
    assert (of_layer.row, of_layer.fixed) == (row, 0)
    assert of_layer.total == 24 * sum(row.values())
    part = attention_reads(ffn.attention, ("out",))
    assert (part.row, part.fixed, part.total) == ({"out": 128}, 24 * row["qkv"], of_layer.total)


def test_sparsity_of_a_scope_is_a_share_of_its_bytes_and_follows_from_the_sites():
    model = tiny_model()
    ffn, policy = ffn_layers(model)[0], tiny_policy(model, scope="all")
    whole, block = scope_reads(ffn, policy), reads(ffn, policy.sites)
    assert whole.total == block.total + attention_reads(ffn.attention).total
    assert scope_reads(ffn, tiny_policy(model)) == block
    found = score(model, policy, TEXTS[:1], prefix=3)[0]
    by_hand = sum(found.dropped[site] * rows(ffn, site) * whole.row[site] for site in SITES) / whole.total
    torch.testing.assert_close(found.sparsity, by_hand)
    assert (found.sparsity[:3] == 0).all()
    narrow = score(model, tiny_policy(model), TEXTS[:1], prefix=3)[0]
    assert torch.equal(narrow.sparsity, narrow.ffn_sparsity)
    assert set(narrow.dropped) == {"input", "hidden"}
    assert score(model, Dense(), TEXTS[:1])[0].dropped == {}


def test_kernels_of_a_device_say_that_attention_is_dense_there():
    policy = tiny_policy(tiny_model(), scope="all")
    check_policy(policy)
    with pytest.raises(
        ModelError, match="masks attention, too, which is dense in the kernels of this device"
    ):
        check_policy(policy, attention=False)
