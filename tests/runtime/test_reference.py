import pytest
import torch
from tiny_models import POLICY_FAMILIES, tiny_model, tiny_policy

from clada_neuro.models.registry import ffn_layers
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.kernels.reference import block, kept_rows


def test_kept_rows() -> None:
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    result = kept_rows(torch.tensor([1.0, 10.0, 2.0]), rows, torch.tensor([True, False, True]))
    assert result.tolist() == [11.0, 14.0]


@pytest.mark.parametrize("family", POLICY_FAMILIES)
def test_reading_only_kept_rows_gives_what_the_hooks_give(family: str) -> None:
    model = tiny_model(family)
    policy = tiny_policy(model)
    ffn = ffn_layers(model)[1]
    seen = {}
    # registered before the policy's hooks: sees the unmasked x
    before = ffn.inputs[0].register_forward_pre_hook(lambda m, args: seen.update(x=args[0].clone()))
    with attach(model, policy) as session, torch.no_grad():
        after = ffn.down.register_forward_hook(lambda m, args, output: seen.update(y=output.clone()))
        session.begin(1)
        session.plan(torch.ones(1, 1), torch.zeros(1, 1, dtype=torch.bool))
        model(torch.tensor([[5]]))
        state = session.state
        torch.testing.assert_close(block(ffn, policy, state, seen["x"].reshape(-1)), seen["y"].reshape(-1))
    before.remove()
    after.remove()
