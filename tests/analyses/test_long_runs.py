"""Continuations in lock step: the same as alone, dense passes rewrite what was read and are counted, and what parts from what."""

import math

import pytest
import torch
from analysis_scripts import load
from tiny_models import VOCABULARY, tiny_model, tiny_policy

from clada_neuro.policies.controls import RandomLoad, recast
from clada_neuro.policies.dense import Dense
from clada_neuro.runtime.drawing import Sampler, likeliest
from clada_neuro.runtime.runner import hooked

load("32_long_generations")
from _shared.long_runs import (  # noqa: E402
    Continuation,
    between,
    continued,
    departure,
    judged,
    read,
)

PROMPTS = [[0, 5, 9, 14, 3], [0, 5, 9, 40], [0, 5, 9, 33, 21, 8, 60]]
COUNT = 24


def greedy(logits, prompts):
    return likeliest(logits)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def alone(model, policy, prompt, count, seed=0):
    """The package's own loop over one prompt: tokens and sparsity."""
    with hooked(model, policy, [torch.tensor(prompt)]) as runner:
        logits = runner.prefill()
        runner.state.seeds[:] = seed
        tokens, shares = [], []
        for place in range(count):
            token = likeliest(logits)
            tokens.append(int(token))
            if place < count - 1:
                runner.observe(token)
                logits = runner.step(token)
                shares.append(float(runner.ffn_sparsity().mean()))
    return tokens, shares


@pytest.mark.parametrize("shared", [0, 3])
@pytest.mark.parametrize("kappa", [0.0, 0.3])
def test_prompts_in_lock_step_are_what_each_is_alone(model, shared, kappa):
    policy = tiny_policy(model, 0.5, kappa=kappa)
    start = read(model, [prompt[shared:] for prompt in PROMPTS], PROMPTS[0][:shared])
    found = continued(model, policy, start, COUNT, greedy, seeds=range(3))
    for prompt, one in zip(PROMPTS, found, strict=True):
        tokens, shares = alone(model, policy, prompt, COUNT)
        assert one.tokens == tokens
        assert one.ffn_sparsity == pytest.approx(shares, abs=1e-6)
        assert 0.05 < sum(shares) / len(shares) < 0.95


def test_a_prompt_that_ends_leaves_the_others_as_they_are(model):
    policy, start = tiny_policy(model, 0.5, kappa=0.3), read(model, PROMPTS)
    whole = continued(model, policy, start, COUNT, greedy, seeds=range(3))
    cut = continued(
        model, policy, start, COUNT, greedy, seeds=range(3), goes_on=lambda prompt, tokens: prompt != 1 or len(tokens) < 5
    )  # fmt: skip
    assert [len(one.tokens) for one in cut] == [COUNT, 5, COUNT]
    assert [one.tokens for one in cut][::2] == [one.tokens for one in whole][::2]
    assert cut[1].tokens == whole[1].tokens[:5]
    assert len(cut[1].ffn_sparsity) == 4  # the last token drawn is never read


def test_random_load_and_drawing_belong_to_the_prompt_and_not_to_its_place(model):
    policy = recast(tiny_policy(model, 0.5, kappa=0.5), RandomLoad, quantiles=torch.linspace(-2.0, 2.0, 9))
    found = continued(model, policy, read(model, PROMPTS), COUNT, greedy, seeds=[7, 8, 9])
    assert found[2].tokens == alone(model, policy, PROMPTS[2], COUNT, seed=9)[0]
    again = continued(model, policy, read(model, PROMPTS[:1] * 2), COUNT, greedy, seeds=[1, 2])
    assert again[0].ffn_sparsity != again[1].ffn_sparsity
    drawn = [
        continued(model, Dense(), read(model, PROMPTS), 12, Sampler(1.0, 1.0, 0, 3), seeds=range(3))
        for _ in range(2)
    ]
    assert [one.tokens for one in drawn[0]] == [one.tokens for one in drawn[1]]


def test_after_a_dense_pass_predictions_are_those_of_the_dense_model(model):
    policy = tiny_policy(model, 0.8)
    options = {"seeds": range(3), "keep": True}
    found = continued(model, policy, read(model, PROMPTS), COUNT, greedy, refresh=4, **options)
    plain = continued(model, policy, read(model, PROMPTS), COUNT, greedy, **options)
    for prompt, one, other in zip(PROMPTS, found, plain, strict=True):
        dense = model(torch.tensor([prompt + one.tokens])).logits[0, len(prompt) - 1 :]
        gaps = [float((own - true).abs().max()) for own, true in zip(one.predicted, dense, strict=False)]
        assert max(gaps[::4]) < 1e-4  # of the prompt, and of every fourth token
        assert min(gaps[2::4]) > 1e-2
        first = model(torch.tensor([prompt + other.tokens])).logits[0, len(prompt) + 3]
        assert float((other.predicted[4] - first).abs().max()) > 1e-2


def test_a_dense_pass_counts_as_a_dense_token_and_bytes_are_equal_on_average(model):
    policy = tiny_policy(model, 0.5)
    found = continued(model, policy, read(model, PROMPTS), 33, greedy, seeds=range(3), refresh=8)
    for one in found:
        assert [place for place, share in enumerate(one.ffn_sparsity) if share == 0] == [7, 15, 23, 31]
        assert min(share for share in one.ffn_sparsity if share) > 0.05
    assert between(0.4, 0) == 0.4
    sixteen = [between(0.4, 16)] * 15 + [0.0]
    assert sum(sixteen) / 16 == pytest.approx(0.4)


def test_continuations_part_where_they_first_differ():
    assert departure([1, 2, 3], [1, 2, 3, 4]) is None
    assert departure([1, 2, 9], [1, 2, 3, 4]) == 2
    assert departure([9], [1]) == 0
    assert departure([], [1]) is None


def test_judgment_is_surprisal_and_divergence_of_the_dense_model(model):
    own = continued(model, Dense(), read(model, PROMPTS), COUNT, greedy, seeds=range(3), keep=True)
    surprisal, divergence = judged(model, PROMPTS[2], own[2])
    log_p = model(torch.tensor([PROMPTS[2] + own[2].tokens])).logits[0].log_softmax(-1)
    wanted = [-float(log_p[len(PROMPTS[2]) - 1 + at, token]) for at, token in enumerate(own[2].tokens)]
    assert surprisal == pytest.approx(wanted, abs=1e-4)
    assert abs(divergence).max() < 1e-5
    flat = Continuation(own[2].tokens, [], [torch.zeros(VOCABULARY)] * COUNT)
    _, divergence = judged(model, PROMPTS[2], flat)
    by_hand = -math.log(VOCABULARY) - log_p[len(PROMPTS[2]) - 1 : -1].mean(1)
    assert divergence == pytest.approx(by_hand.tolist(), abs=1e-4)
