import math

import pytest
import torch
from tiny_models import POLICY_FAMILIES, tiny_model, tiny_policy

from clada_neuro.errors import ModelError
from clada_neuro.policies.dense import Dense
from clada_neuro.policies.griffin import Griffin
from clada_neuro.runtime.fixed_point import score_by_passes
from clada_neuro.runtime.scoring import score

GENERATOR = torch.Generator().manual_seed(4)
TEXTS = [torch.randint(3, 97, (n,), generator=GENERATOR).tolist() for n in (5, 1, 30, 12, 8)]
PREFIXES = [2, 1, 4, 3, 9]


def assert_same(first, second) -> None:
    for a, b in zip(first, second, strict=True):
        for name in ("surprisal_bits", "entropy_bits", "ffn_sparsity", "load", "event", "action"):
            torch.testing.assert_close(
                getattr(a, name), getattr(b, name), equal_nan=True, rtol=1e-4, atol=1e-4
            )


@pytest.mark.parametrize("family", POLICY_FAMILIES)
def test_one_pass_equals_lock_step_equals_one_by_one(family: str) -> None:
    model = tiny_model(family)
    for policy in (Dense(), tiny_policy(model, gamma=0.3), Griffin(sparsity=0.4)):
        stepwise = score(model, policy, TEXTS[2:], prefix=PREFIXES[2:], stepwise=True)
        assert_same(score(model, policy, TEXTS[2:], prefix=PREFIXES[2:]), stepwise)
    loaded = tiny_policy(model, gamma=0.3, kappa=0.2)
    alone = [score(model, loaded, [text], prefix=p)[0] for text, p in zip(TEXTS, PREFIXES, strict=True)]
    assert_same(score(model, loaded, TEXTS, prefix=PREFIXES), alone)


SLIDING = {"sliding_window": 7}


@pytest.mark.parametrize(
    ("family", "changed"),
    [
        ("llama", {}),
        ("mistral", SLIDING),
        ("phi3", SLIDING),
        ("starcoder2", SLIDING),
        ("falcon", {"alibi": True}),
    ],
)
@pytest.mark.parametrize("stepwise", [False, True])
def test_dense_scores_are_log_softmax_in_double_precision(family: str, changed: dict, stepwise: bool) -> None:
    model = tiny_model(family, **changed)
    results = score(model, Dense(), TEXTS, prefix=PREFIXES if stepwise else 1, stepwise=stepwise)
    double = tiny_model(family, **changed).double()
    for text, result in zip(TEXTS, results, strict=True):
        log_p = double(torch.tensor([text])).logits[0].log_softmax(-1) / math.log(2)
        expected = -log_p[:-1].gather(1, torch.tensor(text)[1:, None]).squeeze(1)
        assert math.isnan(result.surprisal_bits[0])
        torch.testing.assert_close(result.surprisal_bits[1:].double(), expected, rtol=0, atol=1e-4)
        assert (result.ffn_sparsity == 0).all()


def test_the_prefix_is_dense() -> None:
    model = tiny_model()
    policy, dense = tiny_policy(model), score(model, Dense(), [TEXTS[2]], prefix=4)[0]
    sparse = score(model, policy, [TEXTS[2]], prefix=4)[0]
    torch.testing.assert_close(sparse.surprisal_bits[1:5], dense.surprisal_bits[1:5])
    assert (sparse.ffn_sparsity[:4] == 0).all()
    assert (sparse.ffn_sparsity[4:].mean(1) > 0.1).all()
    assert not torch.allclose(sparse.surprisal_bits[5:], dense.surprisal_bits[5:], atol=1e-3)


class _Seen:
    def __init__(self) -> None:
        self.a, self.predicted = {}, {}

    def hidden(self, layer, rows, positions, a) -> None:
        for row, position, values in zip(rows.tolist(), positions.tolist(), a, strict=True):
            assert (layer, row, position) not in self.a
            self.a[layer, row, position] = values

    def logits(self, rows, positions, logits) -> None:
        for row, position, values in zip(rows.tolist(), positions.tolist(), logits, strict=True):
            self.predicted[row, position] = values


@pytest.mark.parametrize("kappa", [0.0, 0.2])
def test_an_observer_sees_every_token_once(kappa: float) -> None:
    model = tiny_model("opt")
    seen = _Seen()
    results = score(model, tiny_policy(model, kappa=kappa), TEXTS, prefix=PREFIXES, observer=seen)
    places = {(row, position) for row, text in enumerate(TEXTS) for position in range(len(text))}
    assert set(seen.predicted) == places
    assert set(seen.a) == {(layer, *place) for layer in range(2) for place in places}
    dropped = torch.stack([(seen.a[0, 2, position] == 0).float().mean() for position in range(4, 30)])
    assert dropped.mean() > 0.1  # masked activations are what the policy left
    assert results[2].ffn_sparsity[4:].mean() > 0.1


def test_scores_do_not_depend_on_the_run() -> None:
    model = tiny_model()
    policy = tiny_policy(model, kappa=0.2)
    first, second = (score(model, policy, TEXTS, prefix=2) for _ in range(2))
    assert all(
        torch.equal(a.surprisal_bits[1:], b.surprisal_bits[1:]) for a, b in zip(first, second, strict=True)
    )


def test_wrong_requests_are_refused() -> None:
    model = tiny_model()
    with pytest.raises(ModelError, match="sequence 1 is empty"):
        score(model, Dense(), [[3], []])
    with pytest.raises(ModelError, match="prefix of 0"):
        score(model, Dense(), [[3]], prefix=0)
    with pytest.raises(ModelError, match="cannot score in one pass"):
        score(model, tiny_policy(model, kappa=0.1), [[3, 4]], stepwise=False)


@pytest.mark.parametrize("family", ["llama", "opt"])
def test_passes_converge_to_stepping(family: str) -> None:
    model = tiny_model(family)
    policy = tiny_policy(model, gamma=0.3, kappa=0.1)
    stepped = score(model, policy, TEXTS, prefix=1)
    exact = score_by_passes(
        model, policy, TEXTS, prefix=1, passes=30
    )  # as many as the longest text has tokens
    assert_same(exact, stepped)
    near = score_by_passes(model, policy, TEXTS, prefix=1)
    for a, b in zip(near, stepped, strict=True):
        torch.testing.assert_close(a.ffn_sparsity.mean(), b.ffn_sparsity.mean(), rtol=0, atol=0.01)
        torch.testing.assert_close(a.surprisal_bits[1:3], b.surprisal_bits[1:3], rtol=1e-4, atol=1e-4)


def test_a_recorded_load_is_replayed_in_one_pass() -> None:
    model = tiny_model()
    policy = tiny_policy(model, kappa=0.2)
    stepped = score(model, policy, TEXTS[2:], prefix=3)
    scales = [policy.base_scale * torch.exp(-policy.kappa * s.load).nan_to_num(0.0) for s in stepped]
    assert_same(score(model, policy, TEXTS[2:], prefix=3, scales=scales), stepped)
