"""Logits of a few positions at a time are the model's, and no pass under a policy holds more."""

from itertools import product

import pytest
import torch
from tiny_models import POLICY_FAMILIES, VOCABULARY, tiny_model, tiny_policy

from clada_neuro.policies.dense import Dense
from clada_neuro.runtime import scoring
from clada_neuro.runtime.predictions import kept
from clada_neuro.runtime.scoring import score

IDS = torch.randint(3, VOCABULARY, (2, 100), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("family", POLICY_FAMILIES)
def test_logits_from_kept_states_are_the_model_s(family):
    model = tiny_model(family)
    expected = model(IDS).logits
    with kept(model) as states:
        last = model(IDS).logits
    assert last.shape == (2, 1, VOCABULARY)
    row, position = torch.tensor(list(product(range(2), range(100)))).unbind(1)
    found = states.logits(row, position).reshape_as(expected)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert model(IDS).logits.shape == expected.shape


@pytest.mark.parametrize(("stepwise", "most"), [(False, 16), (True, 16)])
def test_a_long_text_needs_a_few_logits_at_a_time(stepwise, most, monkeypatch):
    model = tiny_model()
    policy = tiny_policy(model)
    whole = score(model, policy, IDS.tolist(), prefix=60, stepwise=stepwise)
    monkeypatch.setattr(scoring, "AT_ONCE", most)
    sizes = []
    model.lm_head.register_forward_hook(lambda _, args, logits: sizes.append(logits.numel() // VOCABULARY))
    parts = score(model, policy, IDS.tolist(), prefix=60, stepwise=stepwise)
    assert max(sizes) <= most
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a.surprisal_bits, b.surprisal_bits, equal_nan=True)
        torch.testing.assert_close(a.load, b.load, equal_nan=True)


def test_load_is_recorded_from_a_single_pass_as_from_stepping():
    model = tiny_model()
    policy = tiny_policy(model)
    passed, stepped = (score(model, policy, IDS.tolist(), prefix=4, stepwise=s) for s in (False, True))
    for a, b in zip(passed, stepped, strict=True):
        torch.testing.assert_close(a.load, b.load, equal_nan=True, rtol=1e-3, atol=1e-3)
        assert torch.isfinite(a.load[4:]).all()
    assert torch.isnan(score(model, Dense(), IDS.tolist(), prefix=4)[0].load).all()
