import math
from dataclasses import asdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import POLICY_FAMILIES, tiny_model, tiny_policy

from clada_neuro.errors import ModelError
from clada_neuro.evaluation.continuations import STARTS, Contexts, batches
from clada_neuro.evaluation.padded import together
from clada_neuro.evaluation.requests import Request
from clada_neuro.policies.controls import RandomLoad, no_load
from clada_neuro.policies.dense import Dense
from clada_neuro.policies.griffin import Griffin
from clada_neuro.runtime.scoring import score

GENERATOR = torch.Generator().manual_seed(4)


def ids(n: int) -> tuple[int, ...]:
    return tuple(torch.randint(3, 97, (n,), generator=GENERATOR).tolist())


REQUESTS = [
    Request(ids(5), (ids(3), ids(1), ids(6)), 7),
    Request(ids(13), (ids(2), ids(2)), 8),
    Request(ids(4), (ids(1),), 9),
    Request(ids(9), (ids(4),), 10),
]
# Random load differs by seed, so what two requests have in common may not be read once.
SAME_TEXT = [*REQUESTS, Request(REQUESTS[1].context, (REQUESTS[1].answers[0], ids(3)), 12)]


def alone(model, policy, request: Request, answer: tuple[int, ...], start: str):
    """One answer scored by the runtime, from nothing, token by token where the policy needs it."""
    length = len(request.context)
    prefix = length - 1 if start == "answer" else length // 2
    found = score(model, policy, [request.context + answer], prefix=prefix, seeds=[request.seed])[0]
    log_prob = -float(found.surprisal_bits[length:].sum()) * math.log(2)
    return log_prob, float(found.ffn_sparsity[prefix:-1].mean())


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("family", POLICY_FAMILIES)
def test_shared_contexts_change_nothing(family: str, start: str) -> None:
    model = tiny_model(family)
    contexts = Contexts(model, REQUESTS, start)
    for policy in (Dense(), tiny_policy(model), tiny_policy(model, gamma=0.3), Griffin(sparsity=0.4)):
        for request, answers in zip(REQUESTS, contexts.run(policy)[0], strict=True):
            for answer, found in zip(request.answers, answers, strict=True):
                log_prob, sparsity = alone(model, policy, request, answer, start)
                assert found.log_prob == pytest.approx(log_prob, abs=2e-3)
                assert found.ffn_sparsity == pytest.approx(sparsity, abs=1e-4)
                assert found.tokens == len(answer)
                assert found.affected == (0 if policy.name == "dense" else len(answer))


@pytest.mark.parametrize("start", STARTS)
def test_load_from_the_pass_without_it_is_nearly_the_load_of_stepping(start: str) -> None:
    model = tiny_model()
    quantiles = torch.linspace(-1, 1, 101)
    random = [tiny_policy(model, gamma=gamma, kappa=0.2) for gamma in (0.0, 0.3)]
    exact = [RandomLoad(**{**policy.__dict__}, quantiles=quantiles) for policy in random]
    for policy, requests, tolerance in (
        *((policy, SAME_TEXT, 2e-3) for policy in exact),
        # Of its own load a mask may flip on the way, which moves an answer by tenths; here none does.
        *((tiny_policy(model, gamma=gamma, kappa=0.02), REQUESTS, 0.05) for gamma in (0.0, 0.3)),
    ):
        contexts = Contexts(model, requests, start)
        found, _ = contexts.run(policy, contexts.run(no_load(policy))[1])
        for request, answers in zip(requests, found, strict=True):
            for answer, result in zip(request.answers, answers, strict=True):
                log_prob, sparsity = alone(model, policy, request, answer, start)
                assert result.log_prob == pytest.approx(log_prob, abs=tolerance)
                assert result.ffn_sparsity == pytest.approx(sparsity, abs=tolerance)


def test_a_run_leaves_the_contexts_as_they_were() -> None:
    model = tiny_model()
    contexts = Contexts(model, REQUESTS)
    first, _ = contexts.run(Dense())
    contexts.run(tiny_policy(model))
    assert contexts.run(Dense())[0] == first


def test_a_context_of_one_token_leaves_the_first_prediction_dense() -> None:
    model = tiny_model()
    policy = tiny_policy(model)
    request = Request((5,), ((7,), (8, 9, 11)))
    for start in STARTS:
        one, three = Contexts(model, [request, REQUESTS[0]], start).run(policy)[0][0]
        assert (one.affected, one.policy_tokens, one.ffn_sparsity) == (0, 0, 0.0)
        assert (three.affected, three.policy_tokens) == (2, 2)
        dense = Contexts(model, [request]).run(Dense())[0][0]
        assert one.log_prob == pytest.approx(dense[0].log_prob, abs=1e-4)


def test_greedy_is_the_argmax_of_every_token() -> None:
    model = tiny_model()
    context = torch.tensor([REQUESTS[0].context])
    best = model.generate(context, max_new_tokens=3, do_sample=False, pad_token_id=2, eos_token_id=None)
    best = tuple(best[0, context.shape[1] :].tolist())
    other = (*best[:2], 3 + (best[2] - 2) % 90)
    found = Contexts(model, [Request(REQUESTS[0].context, (best, other))]).run(Dense())[0][0]
    assert [answer.greedy for answer in found] == [True, False]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.integers(1, 200))
def test_sequences_that_run_together_are_alike_and_bounded(lengths: list[int], budget: int) -> None:
    found = together(lengths, budget)
    assert sorted(place for batch in found for place in batch) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= budget
    flat = [lengths[place] for batch in found for place in batch]
    assert flat == sorted(lengths, reverse=True)


@pytest.mark.parametrize("budget", [1, 7, 10_000])
def test_what_runs_together_changes_nothing(budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    policy = tiny_policy(model, gamma=0.3)
    expected = Contexts(model, REQUESTS, "middle").run(policy)[0]
    monkeypatch.setattr("clada_neuro.evaluation.padded.ANSWER_TOKENS", budget)
    found = Contexts(model, REQUESTS, "middle").run(policy)[0]
    for some, others in zip(found, expected, strict=True):
        for one, other in zip(some, others, strict=True):
            assert one.log_prob == pytest.approx(other.log_prob, abs=2e-3)
            assert one.ffn_sparsity == pytest.approx(other.ffn_sparsity, abs=1e-4)


def test_trees_are_read_as_padded_rows_are(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    policy = tiny_policy(model)
    found, signals = Contexts(model, SAME_TEXT, "middle").run(policy)
    monkeypatch.setattr("clada_neuro.evaluation.continuations.reads_branches", lambda model, policy: False)
    expected, same = Contexts(model, SAME_TEXT, "middle").run(policy)
    for some, others in zip(found, expected, strict=True):
        for one, other in zip(some, others, strict=True):
            assert asdict(one) == pytest.approx(asdict(other), abs=1e-3)
    assert torch.allclose(signals.context, same.context, atol=1e-3)
    assert torch.allclose(signals.answer, same.answer, atol=1e-3)


def test_what_begins_alike_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Contexts 5 6 7 8 and 5 6 9: four dense nodes; policy nodes are 8, 3 4, 3 of the one, 9 of the other."""
    passes: list[int] = []
    model = tiny_model()
    handle = model.register_forward_pre_hook(
        lambda module, args, kwargs: passes.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    requests = [Request((5, 6, 7, 8), ((3, 4, 5), (3, 4, 6), (3, 7), (2,))), Request((5, 6, 9), ((3,),))]
    Contexts(model, requests).run(Dense())
    assert passes == [3, 4]
    passes.clear()
    monkeypatch.setattr("clada_neuro.evaluation.branched.NODES", 1)
    Contexts(model, requests).run(Dense())
    assert passes == [3, 3, 1]
    handle.remove()


def test_what_cannot_be_scored_is_refused() -> None:
    model = tiny_model()
    with pytest.raises(ModelError, match="start 'end' given"):
        Contexts(model, REQUESTS, "end")
    with pytest.raises(ModelError, match="has no token"):
        Contexts(model, [Request((), ((3,),))])
    with pytest.raises(ModelError, match="give the signals"):
        Contexts(model, REQUESTS).run(tiny_policy(model, kappa=0.1))


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    ("family", "changed"),
    [
        ("mistral", {"sliding_window": 7}),
        ("starcoder2", {"sliding_window": 7}),
        ("phi3", {"sliding_window": 7}),
        ("qwen2", {"sliding_window": 7, "use_sliding_window": True, "max_window_layers": 0}),
        ("falcon", {"alibi": True}),
    ],
)
def test_padding_takes_no_room_in_a_sliding_window(family: str, changed: dict, start: str) -> None:
    """Contexts of one length go together, and every answer has the log-probability of a plain pass."""
    model = tiny_model(family, **changed)
    requests = [*REQUESTS, Request(ids(13), (ids(5), ids(1)), 11)]
    read = batches(requests, model)
    assert sorted(place for batch in read for place in batch) == list(range(len(requests)))
    assert [1, 4] in read or family == "falcon"
    for batch in read:
        some = [requests[place] for place in batch]
        for request, answers in zip(some, Contexts(model, some, start).run(Dense())[0], strict=True):
            for answer, found in zip(request.answers, answers, strict=True):
                log_p = model(torch.tensor([request.context + answer])).logits[0].double().log_softmax(-1)
                places = torch.arange(len(answer)) + len(request.context) - 1
                assert found.log_prob == pytest.approx(float(log_p[places, list(answer)].sum()), abs=2e-3)
    if family != "falcon":
        with pytest.raises(
            ModelError, match="contexts of 4 to 13 tokens together exceed the sliding window of 7"
        ):
            Contexts(model, requests, start)
