"""Every causal language model is measured alike: alone, with others and in pieces, against one plain pass in float64."""

import math

import numpy as np
import pytest
import torch
from tiny_models import ENCODERS, FAMILIES, OTHERS, tiny_model
from transformers import PreTrainedModel

from clada_neuro.errors import ModelError
from clada_neuro.instrument.batching import split_windows
from clada_neuro.instrument.forward import Forward
from clada_neuro.instrument.vocabulary import Vocabulary
from clada_neuro.models.families import FAMILIES as DECLARED
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.mixtures import MIXTURES

# A window smaller than most texts: what lies further back must be gone whether it is in a cache or not.
SLIDING = {
    "mistral": {"sliding_window": 7},
    "qwen2": {"sliding_window": 7, "use_sliding_window": True, "max_window_layers": 0},
    "qwen3": {"sliding_window": 7, "use_sliding_window": True, "max_window_layers": 0},
    "gemma2": {"sliding_window": 7},
    "gemma3_text": {"sliding_window": 7},
    "starcoder2": {"sliding_window": 7},
    "phi3": {"sliding_window": 7},
    "gpt_neo": {"window_size": 7},
}
# Beyond 16 tokens every position of a text is rotated otherwise: short texts beside long ones keep their own.
LONG_ROPE = {
    "original_max_position_embeddings": 16,
    "rope_parameters": {
        "rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0, 1.0, 1.0], "long_factor": [2.0, 4.0, 8.0],
        "original_max_position_embeddings": 16,
    },
}  # fmt: skip
OTHERWISE = [*SLIDING.items(), ("falcon", {"alibi": True}), ("phi3", LONG_ROPE)]
CASES = [(kind, {}) for kind in (*FAMILIES, *OTHERS)] + OTHERWISE


class Letters:
    """Stands for a tokenizer where only the roles of tokens matter."""


@pytest.fixture(autouse=True)
def roles(monkeypatch):
    def of(tokenizer, n_logits, device):
        masks = torch.zeros(3, n_logits, dtype=torch.bool)
        for token in range(n_logits):
            masks[2 if token < 3 else token % 2, token] = True
        return Vocabulary(*masks)

    monkeypatch.setattr(Vocabulary, "of", staticmethod(of))


def forward_of(model: PreTrainedModel) -> Forward:
    return Forward(LanguageModel("tiny", model, Letters(), 1, "0"))


def texts() -> tuple[list[list[int]], list[int]]:
    """Three texts that share nine tokens, and others of very unequal lengths, two of them equal."""
    generator = np.random.default_rng(0)
    stem = generator.integers(3, 97, 9).tolist()
    ids = [stem + generator.integers(3, 97, size).tolist() for size in (5, 2, 7)]
    ids += [generator.integers(3, 97, size).tolist() for size in (1, 30, 3, 3)]
    return ids, [0, 0, 0, 1, 2, 3, 4]


def measured(forward: Forward, ids: list[list[int]], groups: list[int]) -> list:
    windows = [window for number, one in enumerate(ids) for window in split_windows(number, one, 1, 64)]
    found = {window.text: got for window, got in forward.measure(windows, [groups[w.text] for w in windows])}
    return [found[number] for number in range(len(ids))]


def reference(model: PreTrainedModel, ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return surprisals and entropies in bits of one text after the start token, by the formulas."""
    log_p = model(input_ids=torch.tensor([[1, *ids]]), use_cache=False).logits[0].double().log_softmax(-1)
    surprisal = -log_p[torch.arange(len(ids)), torch.tensor(ids)]
    entropy = -(log_p.exp() * log_p).sum(-1)
    return surprisal.numpy() / math.log(2), entropy.numpy() / math.log(2)


def in_float64(kind: str, model: PreTrainedModel) -> PreTrainedModel:
    if kind == "xglm":  # transformers' own code for it fails in float64
        return model
    if kind not in FAMILIES:
        model.set_experts_implementation("eager")  # the fast product over experts has no float64
    return model.double()


@pytest.mark.parametrize(
    ("kind", "changed"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_surprisal_and_entropy_are_those_of_a_plain_pass(kind, changed):
    model = tiny_model(kind, scale=4.0, **changed)
    forward, (ids, groups) = forward_of(model), texts()
    together = measured(forward, ids, groups)
    alone = [measured(forward, [one], [0])[0] for one in ids]
    forward.budget = 16
    in_pieces = measured(forward, ids, groups)
    exact = in_float64(kind, model)
    for one, *ways in zip(ids, together, alone, in_pieces, strict=True):
        surprisal, entropy = reference(exact, one)
        for got in ways:
            np.testing.assert_allclose(got.predictions["surprisal_bits"][:-1], surprisal, rtol=0, atol=1e-4)
            np.testing.assert_allclose(got.predictions["entropy_bits"], entropy, rtol=0, atol=1e-4)
            assert bool(got.activity) == (kind in {*DECLARED, *MIXTURES})


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_model_that_sees_later_words_is_refused(kind):
    with pytest.raises(ModelError, match=f"'{kind}' sees later tokens when it predicts one.*causal"):
        forward_of(tiny_model(kind, scale=4.0))
