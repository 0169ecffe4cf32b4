"""Policies by name give what the policy itself gives; what a name cannot do is said."""

import pytest
import torch
from tiny_models import tiny_checkpoint

import clada_neuro as cn
from clada_neuro.errors import CalibrationError, ModelError
from clada_neuro.policies.griffin import Griffin


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return cn.load_model(tiny_checkpoint(tmp_path_factory.mktemp("model")))


def test_generate_takes_a_name_as_it_takes_the_policy(model):
    made = cn.policy(model, "griffin", sparsity=0.5)
    assert isinstance(made, Griffin)
    asked = {"max_new_tokens": 6}
    (named,) = cn.generate(model, "w3 w4 w5", "griffin", sparsity=0.5, **asked)
    (given,) = cn.generate(model, "w3 w4 w5", made, **asked)
    assert named.token_ids == given.token_ids
    assert named.ffn_sparsity == given.ffn_sparsity
    assert min(named.ffn_sparsity) > 0.4
    (plain,) = cn.generate(model, "w3 w4 w5", **asked)
    assert plain.ffn_sparsity == [0.0] * len(plain.ffn_sparsity)


def test_attach_takes_a_name_as_it_takes_the_policy(model):
    found = []
    ids = torch.tensor([[3, 4, 5]])
    for policy, how in (("griffin", {"sparsity": 0.5}), (cn.policy(model, "griffin", 0.5), {})):
        with cn.attach(model, policy, **how) as session:
            found.append(model.model.generate(ids, max_new_tokens=5, do_sample=False))
            assert float(session.ffn_sparsity().mean()) > 0.4
    assert torch.equal(*found)


def test_what_a_name_cannot_do_is_said(model):
    with pytest.raises(
        CalibrationError, match=r"no policy 'clado' \(did you mean 'clada'\?\); there are dense, clada"
    ):
        cn.generate(model, "w3", "clado")
    with pytest.raises(CalibrationError, match="no calibration ships for model"):
        cn.policy(model)
    with pytest.raises(ModelError, match=r"load it with clada_neuro\.load_model"):
        cn.attach(model.model, "griffin")
    with pytest.raises(ModelError, match="sparsity given with a policy that is made already"):
        cn.generate(model, "w3", cn.policy(model, "dense"), sparsity=0.3)
