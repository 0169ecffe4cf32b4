"""Rotary positions of every type of transformers, where texts share passes or are read in steps: as in one pass alone."""

import math
from copy import deepcopy

import pandas as pd
import pytest
import torch
from test_step_engines import IDS, ROTATIONS, rotating
from tiny_models import tiny_checkpoint, tiny_policy
from transformers import AutoTokenizer, PreTrainedModel

from clada_neuro.errors import ModelError
from clada_neuro.evaluation.continuations import Contexts, batches
from clada_neuro.evaluation.requests import Request
from clada_neuro.instrument.trace import trace
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.rotation import check_one_rotation
from clada_neuro.policies.dense import Dense
from clada_neuro.runtime.scoring import score

# Dynamic positions change beyond the longest text that such a model reads.
SCORED = [kind for kind in ROTATIONS if kind != "dynamic"]
TEXTS = [
    IDS[:n].tolist() for n in (12, 40, 24, 16, 17, 30)
]  # on both sides of 16 tokens, the longest not first


def alone(model: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    """transformers' own surprisal of one text in one pass."""
    with torch.no_grad():
        log_p = deepcopy(model)(torch.tensor([ids])).logits[0].log_softmax(-1)
    return -log_p[:-1].gather(1, torch.tensor(ids)[1:, None]).squeeze(1) / math.log(2)


@pytest.mark.parametrize("stepwise", [False, True])
@pytest.mark.parametrize("kind", SCORED)
def test_scoring_rotates_each_text_for_its_own_length(kind, stepwise):
    model = rotating(kind)
    for text, found in zip(TEXTS, score(model, Dense(), TEXTS, stepwise=stepwise), strict=True):
        assert found.surprisal_bits[1:] == pytest.approx(alone(model, text), abs=1e-4)
    if stepwise:  # a policy at work: both orders agree
        policy = tiny_policy(model)
        steps = score(model, policy, TEXTS, stepwise=True)
        for one, other in zip(steps, score(model, policy, TEXTS, stepwise=False), strict=True):
            assert other.surprisal_bits[1:] == pytest.approx(one.surprisal_bits[1:], abs=1e-3)
    assert alone(model, TEXTS[0]) == pytest.approx(
        alone(rotating(kind), TEXTS[0]), abs=1e-6
    )  # left as it was


@pytest.mark.parametrize("kind", SCORED)
def test_answers_after_cached_contexts_are_rotated_as_in_one_pass(kind):
    model = rotating(kind)
    requests = [Request(tuple(text[:-4]), (tuple(text[-4:]),)) for text in TEXTS]
    found = {}
    for rows in batches(requests, model):
        scored = Contexts(model, [requests[row] for row in rows], "middle").run(Dense())[0]
        found |= {row: answers[0].log_prob for row, answers in zip(rows, scored, strict=True)}
    for row, text in enumerate(TEXTS):
        assert found[row] == pytest.approx(-float(alone(model, text)[-4:].sum()) * math.log(2), abs=1e-3)


def test_windows_under_a_policy_are_rotated_for_their_own_length(tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint(tmp_path))
    language_model = LanguageModel("tiny", rotating("longrope"), tokenizer, 0, "abc")
    texts = [" ".join(f"w{2 + i}" for i in range(n)) for n in (8, 30, 12, 20)]
    table = pd.DataFrame({"sentence": texts, "item": range(4), "condition": "a"})
    dense, followed = (
        trace(table, language_model, policy=policy, progress=False).tokens for policy in (None, Dense())
    )
    expected = dense["surprisal_bits"].to_numpy()
    assert followed["surprisal_bits"].to_numpy() == pytest.approx(expected, abs=1e-4, nan_ok=True)
    assert followed["kl_dense_bits"].abs().max() < 1e-4


def test_generating_over_the_border_of_a_rotation_is_refused_in_one_line():
    model = rotating("longrope")
    check_one_rotation(model, [9, 12], 4)
    check_one_rotation(model, [20, 30], 8)
    check_one_rotation(rotating("yarn"), [9, 30], 8)
    for prompts, new in (([9], 20), ([9, 20], 1)):
        with pytest.raises(ModelError, match=r"both sides of 16 tokens.*lower max_new_tokens"):
            check_one_rotation(model, prompts, new)
