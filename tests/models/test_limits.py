"""Beyond what a model reads, every use of it ends in one line that says how much it reads, before any work."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import POLICY_FAMILIES, VOCABULARY, tiny_checkpoint, tiny_model, tiny_policy

from clada_neuro.calibration.search import calibrate
from clada_neuro.errors import ModelError
from clada_neuro.evaluation.continuations import Contexts
from clada_neuro.evaluation.encoding import encode_item
from clada_neuro.evaluation.requests import Request
from clada_neuro.evaluation.tasks import Item
from clada_neuro.instrument.pairs import similarity
from clada_neuro.instrument.sequences import measure
from clada_neuro.instrument.trace import trace
from clada_neuro.models.limits import check_vocabulary, context_window
from clada_neuro.models.loading import LanguageModel, load_model
from clada_neuro.policies.dense import Dense
from clada_neuro.runtime.decode import generate
from clada_neuro.runtime.scoring import score
from clada_neuro.stimuli.formats import read_stimuli

WINDOW = 128
IDS = torch.randint(3, VOCABULARY, (2 * WINDOW,), generator=torch.Generator().manual_seed(2)).tolist()


class Numbers:
    """A tokenizer of one token a number, whatever the vocabulary of the model."""

    def __call__(self, text, add_special_tokens=False):
        return type("Encoding", (), {"input_ids": [int(piece) for piece in text.split()]})

    def decode(self, ids, skip_special_tokens=True):
        return " ".join(map(str, ids))

    def get_vocab(self):
        return {}


def language_model(family):
    model = tiny_model(family)
    model.generation_config.eos_token_id = None
    return LanguageModel("tiny", model, Numbers(), 0, "abc")


def text(tokens):
    return " ".join(map(str, IDS[:tokens]))


@pytest.mark.parametrize("family", POLICY_FAMILIES)
def test_generation_ends_at_the_window(family):
    model = language_model(family)
    assert context_window(model.model) == WINDOW
    # A start token and 120 others are read, then 7 of the 8 that are drawn.
    (full,) = generate(model, text(120), Dense(), max_new_tokens=8)
    assert len(full.token_ids) == 8
    with pytest.raises(ModelError, match="129 tokens, this model reads at most 128; shorten the prompt"):
        generate(model, ["7", text(120)], Dense(), max_new_tokens=9)


@pytest.mark.parametrize("family", POLICY_FAMILIES)
def test_scoring_ends_at_the_window(family):
    model = tiny_model(family)
    policy = tiny_policy(model, kappa=0.2)
    # The first text goes along until the others end.
    sequences, prefix = [IDS[:WINDOW], IDS[10 : 10 + WINDOW], IDS[20 : 20 + WINDOW]], [120, 4, 4]
    together = score(model, policy, sequences, prefix=prefix, stepwise=True)
    alone = score(model, policy, sequences[1:2], prefix=4, seeds=[1], stepwise=True)
    torch.testing.assert_close(together[1].surprisal_bits, alone[0].surprisal_bits, equal_nan=True)
    with pytest.raises(ModelError, match="sequence 1: 129 tokens, this model reads at most 128"):
        score(model, policy, [IDS[:5], IDS[: WINDOW + 1]], stepwise=True)


@pytest.mark.parametrize("family", POLICY_FAMILIES)
def test_answers_of_other_lengths_do_not_push_a_padded_one_beyond_the_window(family):
    model = tiny_model(family)
    long, short = tuple(IDS[:120]), tuple(IDS[:20])
    requests = [Request(long, ((5, 6),)), Request(short, (tuple(IDS[20:90]),))]
    together = Contexts(model, requests).run(Dense())[0]
    for request, (found,) in zip(requests, together, strict=True):
        ids = torch.tensor([[*request.context, *request.answers[0]]])
        log_p = model(ids).logits[0].double().log_softmax(-1)
        answer = request.answers[0]
        places = torch.arange(len(answer)) + len(request.context) - 1
        assert math.isclose(found.log_prob, float(log_p[places, list(answer)].sum()), rel_tol=1e-4)
    with pytest.raises(ModelError, match="context of 120 tokens with an answer of 10: 129 tokens"):
        Contexts(model, [Request(long, (tuple(IDS[:10]),))])


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_sequences_end_at_the_window(family):
    model = language_model(family)
    full = np.array([IDS[: WINDOW - 1]])
    assert similarity(full, full, model)["cosine"].min() > 0.999
    long = np.array([IDS[:WINDOW]])
    for measured in (lambda: similarity(long, long, model), lambda: measure(long, model)):
        with pytest.raises(ModelError, match="129 tokens, this model reads at most 128"):
            measured()


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_calibration_texts_must_fit(family, tmp_path):
    with pytest.raises(ModelError, match="calibration text: 256 tokens, this model reads at most 128"):
        calibrate(language_model(family), ["5 " * 3000] * 40, tmp_path / "c.safetensors", progress=False)
    assert not list(tmp_path.iterdir())


def test_an_answer_longer_than_the_window_names_its_context():
    item = Item(("7 8", "7 8"), (text(60), text(130)), 0)
    with pytest.raises(
        ModelError, match="longest answer to context '7 8': 130 tokens, this model reads at most 128"
    ):
        encode_item(language_model("gpt2"), item, 0)


@pytest.mark.parametrize("policy", [None, Dense()])
def test_a_stimulus_with_a_token_that_the_model_lacks_is_named(policy, tmp_path):
    model = load_model(tiny_checkpoint(tmp_path), device="cpu")
    model.tokenizer.add_tokens(["w97"])
    stimuli = read_stimuli(
        pd.DataFrame({"item": ["1", "2"], "condition": "a", "sentence": ["w5 w6 w7", "w5 w97 w7"]})
    )
    with pytest.raises(ModelError, match=r"stimulus '2.*': token 97 of the tokenizer has no embedding"):
        trace(stimuli, model, policy=policy)


def test_tokens_without_an_embedding_are_named():
    model = language_model("gpt2")
    message = r"token 97 of the tokenizer has no embedding, the model knows 0 to 96"
    with pytest.raises(ModelError, match=f"prompt '5 97': {message}"):
        generate(model, "5 97", Dense())
    with pytest.raises(ModelError, match=f"sequence 0: {message}"):
        score(model.model, Dense(), [[5, 97]])
    with pytest.raises(ModelError, match=message):
        Contexts(model.model, [Request((5,), ((97,),))])
    check_vocabulary(model.model, [96], "the last one")
