"""Tokens are drawn as often as they are likely, from the likeliest that reach top_p, by each prompt's own numbers."""

import numpy as np
import pytest
import torch

from clada_neuro.errors import ModelError
from clada_neuro.runtime.drawing import Sampler, likeliest

P = np.array([0.4, 0.05, 0.3, 0.02, 0.2, 0.03])
LOGITS = torch.tensor(np.log(P) + 3, dtype=torch.float32)[None]
DRAWS = 20_000


def frequencies(temperature: float, top_p: float) -> np.ndarray:
    draw = Sampler(temperature, top_p, 0, 1)
    return np.bincount([int(draw(LOGITS, [0])) for _ in range(DRAWS)], minlength=len(P)) / DRAWS


@pytest.mark.parametrize(
    ("temperature", "top_p", "kept"),
    [
        (1.0, 1.0, P > 0),
        (0.5, 1.0, P > 0),
        (1.0, 0.65, P >= 0.3),
        (1.0, 0.75, P >= 0.2),
        (2.0, 0.9, P > 0.02),
    ],
)
def test_tokens_come_as_often_as_they_are_likely(temperature, top_p, kept):
    expected = P ** (1 / temperature) * kept
    expected /= expected.sum()
    found = frequencies(temperature, top_p)
    assert (found[~kept] == 0).all()
    assert np.abs(found - expected).max() < 4.5 * np.sqrt(0.25 / DRAWS)


def test_the_likeliest_are_taken_at_no_temperature_or_with_a_small_top_p():
    assert likeliest(torch.stack([LOGITS[0], -LOGITS[0]])).tolist() == [0, 3]
    assert Sampler(0.0, 1.0, 0, 2)(LOGITS.bfloat16(), [1]).tolist() == [0]
    assert {int(Sampler(1.0, 1e-6, seed, 1)(LOGITS, [0])) for seed in range(20)} == {0}


def test_a_prompt_draws_alike_whatever_stands_beside_it_and_whatever_the_seed():
    alone, together = Sampler(1.0, 0.9, -5, 2), Sampler(1.0, 0.9, -5, 2)
    first = [int(alone(LOGITS, [1])) for _ in range(10)]
    assert [int(together(LOGITS.expand(2, -1), [0, 1])[1]) for _ in range(10)] == first


@pytest.mark.parametrize(("temperature", "top_p"), [(-0.1, 1.0), (1.0, 0.0), (1.0, 1.1)])
def test_other_settings_are_refused(temperature, top_p):
    with pytest.raises(ModelError, match="top_p"):
        Sampler(temperature, top_p, 0, 1)
