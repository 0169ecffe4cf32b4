"""Shared prefixes, pieces and batches never change a value, on tiny models of several families and the real one."""

import numpy as np
import pandas as pd
import pytest
from tiny_models import tiny_model

from clada_neuro.instrument import forward as forward_module
from clada_neuro.instrument.batching import split_windows
from clada_neuro.instrument.forward import Forward
from clada_neuro.instrument.trace import trace
from clada_neuro.models.loading import LanguageModel, load_model

FAMILIES = ["llama", "qwen2", "gpt2", "opt", "gpt_neox", "phi3"]


class Letters:
    """Stands for a tokenizer where only the roles of tokens matter."""


@pytest.fixture
def tiny(monkeypatch, request):
    from clada_neuro.instrument.vocabulary import Vocabulary

    def roles(tokenizer, n_logits, device):
        import torch

        masks = torch.zeros(3, n_logits, dtype=torch.bool)
        for token in range(n_logits):
            masks[2 if token < 3 else token % 2, token] = True
        return Vocabulary(*masks)

    monkeypatch.setattr(Vocabulary, "of", staticmethod(roles))
    return Forward(LanguageModel("tiny", tiny_model(request.param, scale=4.0), Letters(), 1, "0"))


def texts(lengths: list[int], seed: int = 0) -> list[list[int]]:
    generator = np.random.default_rng(seed)
    return [generator.integers(3, 97, size=length).tolist() for length in lengths]


def run(forward, ids: list[list[int]], groups: list[int], budget: int, longest: int = 128) -> list:
    windows = [w for number, one in enumerate(ids) for w in split_windows(number, one, 1, longest)]
    forward.budget = budget
    found = dict.fromkeys(range(len(ids)))
    for window, measures in forward.measure(windows, [groups[w.text] for w in windows]):
        found[window.text] = measures
    return [found[number] for number in range(len(ids))]


def assert_same(first, second) -> None:
    for one, other in zip(first, second, strict=True):
        for kind in ("predictions", "activity"):
            for name, values in getattr(one, kind).items():
                np.testing.assert_allclose(
                    values, getattr(other, kind)[name], rtol=1e-4, atol=1e-4, err_msg=name
                )


@pytest.mark.parametrize("tiny", FAMILIES, indirect=True)
@pytest.mark.parametrize("shared", [2, 3, 9, 20])
def test_conditions_that_share_a_prefix_equal_each_alone(tiny, shared):
    stems, ends = texts([shared, shared], seed=1), texts([5, 2, 7, 1, 3, 4], seed=2)
    ids = [stems[number // 3] + end for number, end in enumerate(ends)]
    together = run(tiny, ids, [0, 0, 0, 1, 1, 1], budget=1024)
    alone = [run(tiny, [one], [0], budget=1024)[0] for one in ids]
    assert_same(together, alone)


@pytest.mark.parametrize("tiny", ["llama", "opt"], indirect=True)
def test_batches_of_very_unequal_lengths_equal_single_texts(tiny):
    ids = texts([1, 90, 3, 40, 1, 2, 17])
    assert_same(
        run(tiny, ids, list(range(7)), budget=1000), [run(tiny, [one], [0], budget=1000)[0] for one in ids]
    )


@pytest.mark.parametrize("tiny", ["llama", "gpt2"], indirect=True)
def test_a_long_text_in_pieces_equals_one_pass(tiny):
    ids = texts([100])
    whole = run(tiny, ids, [0], budget=1024)
    assert_same(run(tiny, ids, [0], budget=17), whole)


@pytest.mark.parametrize("tiny", ["llama"], indirect=True)
def test_the_first_position_has_no_activity_and_does_not_enter_the_prefix(tiny):
    measures = run(tiny, texts([6]), [0], budget=64)[0]
    assert all(np.isnan(values[0]).all() for values in measures.activity.values())
    assert np.isnan(measures.activity["adjustment_prev"][1]).all()
    assert np.isnan(measures.activity["adjustment_prefix"][1]).all()
    np.testing.assert_allclose(
        measures.activity["adjustment_prefix"][2], measures.activity["adjustment_prev"][2], atol=1e-6
    )
    assert np.isfinite(measures.activity["sparsity_energy99"][1:]).all()


@pytest.mark.parametrize("tiny", ["llama"], indirect=True)
def test_hooks_are_gone_after_an_exception(tiny, monkeypatch):
    monkeypatch.setattr(forward_module.information, "information", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(tiny, texts([6]), [0], budget=64)
    hooks = [module._forward_pre_hooks for module in tiny.model.model.modules()]
    assert not any(hooks)


def test_conditions_of_real_items_equal_separate_texts():
    model = load_model("smollm2", device="cpu")
    stems = [
        "Sheep",
        "The farmer and his",
        "On a rainy day the tired old postman left the last parcel on the",
    ]
    stimuli = pd.DataFrame(
        [
            {"stimulus_id": f"{item}{c}", "item": str(item), "condition": c, "sentence": f"{stem} {end}"}
            for item, stem in enumerate(stems)
            for c, end in {"a": "grazed on the green grass.", "b": "wife slept.", "c": "porch, wet."}.items()
        ]
    )
    shared = trace(stimuli, model, progress=False).tokens
    separate = trace(stimuli.assign(item=stimuli["stimulus_id"]), model, progress=False).tokens
    for column in shared.select_dtypes(float):
        np.testing.assert_allclose(shared[column], separate[column], rtol=0, atol=1e-4, err_msg=column)
