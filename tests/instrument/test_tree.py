"""Trees hold every text once, compute each prefix once, and give what each text alone gives."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_model

from clada_neuro.instrument import activity as activity_module
from clada_neuro.instrument.activity import activity, defined
from clada_neuro.instrument.batching import Window
from clada_neuro.instrument.forward import Forward
from clada_neuro.instrument.tree import attention, followed, padded, passes, plant
from clada_neuro.instrument.vocabulary import Vocabulary
from clada_neuro.models.branching import along_branches, follows_branches, places
from clada_neuro.models.families import FAMILIES as DECLARED
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.registry import takes_trees

TEXTS = st.lists(st.lists(st.integers(3, 5), min_size=1, max_size=12), min_size=1, max_size=14)
PACKED = [kind for kind, family in DECLARED.items() if family.tree]


def windows_of(texts, start=1):
    head = () if start is None else (start,)
    return [Window(number, (*head, *ids), 0, 0, start is not None) for number, ids in enumerate(texts)]


@given(texts=TEXTS, widest=st.integers(13, 40), start=st.sampled_from([None, 1]))
def test_every_text_is_a_path_and_no_prefix_stands_twice_in_a_row(texts, widest, start):
    trees = plant(windows_of(texts, start), widest)
    assert sorted(window.text for tree in trees for window in tree.windows) == list(range(len(texts)))
    for tree in trees:
        assert len(tree) <= widest
        for window, path in zip(tree.windows, tree.paths, strict=True):
            assert tuple(tree.ids[node] for node in path) == window.ids
            assert [tree.depths[node] for node in path] == list(range(len(path)))
            assert [tree.parents[node] for node in path] == [-1, *path[:-1]]
        prefixes = {window.ids[: end + 1] for window in tree.windows for end in range(len(window.ids))}
        assert len(tree) == len(prefixes)


@given(texts=TEXTS, widest=st.integers(13, 40), budget=st.integers(1, 120))
def test_passes_keep_to_their_budget_and_nodes_see_what_is_above_them(texts, widest, budget):
    trees = plant(windows_of(texts), widest)
    together = passes(trees, budget)
    assert sum(map(len, together)) == len(trees)
    for some in together:
        ids, positions, branches = padded(some, 16)
        assert ids.numel() >= 16
        assert len(some) == 1 or len(some) * max(map(len, some)) <= budget
        for row, tree in enumerate(some):
            for path in tree.paths:
                for place, node in enumerate(path):
                    assert branches.above[row, node].nonzero()[:, 0].tolist() == sorted(path[:place])
                    assert positions[row, node] == place
            assert not branches.above[row, len(tree) :].any()


def test_a_prediction_is_made_once_and_measured_for_each_token_that_follows():
    (tree,) = plant(windows_of([[3, 4], [3, 5], [3, 4]]))
    asked = followed([tree], len(tree))
    assert len(tree) == 4
    assert len(asked.nodes) == 4
    assert len(asked.targets) == 5  # 3, then 4 or 5, then the end after each
    assert asked.places[0] == asked.places[1]


@pytest.fixture(scope="module")
def exact():
    """Models in float64, ready to measure."""
    roles = torch.arange(97) % 3 == torch.arange(3)[:, None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Vocabulary, "of", staticmethod(lambda *_: Vocabulary(*roles)))
        yield {
            kind: Forward(LanguageModel("tiny", tiny_model(kind, scale=4.0).double(), None, 1, "0"))
            for kind in PACKED
        }


def measured(forward, windows, groups):
    return {window.text: found for window, found in forward.measure(windows, groups)}


@pytest.mark.parametrize("kind", PACKED)
@settings(max_examples=8, deadline=None)
@given(texts=TEXTS, budget=st.sampled_from([16, 40, 1024]))
def test_packed_texts_equal_each_alone_in_float64(exact, kind, texts, budget):
    forward = exact[kind]
    assert forward._longest > 0
    forward.budget = budget
    windows = windows_of(texts)
    together = measured(forward, windows, range(len(texts)))
    forward.budget, longest, forward._longest = 1024, forward._longest, 0
    alone = {window.text: measured(forward, [window], [0])[window.text] for window in windows}
    forward._longest = longest
    for text, found in together.items():
        for name, values in alone[text].predictions.items():
            np.testing.assert_allclose(found.predictions[name], values, rtol=0, atol=1e-5, err_msg=name)
        for name, values in alone[text].activity.items():
            np.testing.assert_allclose(found.activity[name], values, rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    ("kind", "changed"),
    [("bloom", {}), ("mpt", {}), ("gpt_neo", {}), ("falcon", {"alibi": True}), ("mamba", {})],
)
def test_models_that_count_places_or_take_no_mask_are_not_given_trees(kind, changed):
    assert not takes_trees(tiny_model(kind, **changed))


def test_each_prefix_is_computed_once(exact):
    forward, sizes = exact["llama"], []
    forward.budget = 1024
    hook = forward.model.model.register_forward_pre_hook(
        lambda _, args, given: sizes.append(given["input_ids"].numel()), with_kwargs=True
    )
    stem = list(range(10, 40))
    list(forward.measure(windows_of([[*stem, one] for one in range(50, 90)]), [0] * 40))
    hook.remove()
    assert sizes == [80]  # 1 + 30 + 40, and padding up to a round number


@given(texts=TEXTS, threads=st.sampled_from([1, 3]))
@settings(deadline=None)
def test_compiled_activity_of_a_tree_is_the_defined_one(texts, threads):
    trees = plant(windows_of(texts), 40)
    _, _, branches = padded(trees)
    generator = torch.Generator().manual_seed(len(trees))
    e = torch.rand(*branches.parents.shape, 12, generator=generator)
    e[branches.parents < 0] = 0
    nothing = torch.zeros(len(trees), 12)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)  # of which each begins somewhere on a branch
    try:
        found, _ = activity(e, nothing, nothing, branches)
    finally:
        torch.set_num_threads(before)
    expected, _ = defined(e, nothing, nothing, branches)
    assert set(found) == set(activity_module.MEASURES)
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=1e-4, atol=1e-5, equal_nan=True)


def test_attention_follows_branches_wherever_transformers_lets_it_be_given(exact):
    by_mask = {kind for kind, forward in exact.items() if not follows_branches(forward.model.model)}
    assert by_mask == {"gptj", "falcon", "gemma2"}  # the last caps its scores
    eager = tiny_model("llama")
    eager.set_attn_implementation("eager")
    assert not follows_branches(eager)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["llama", "qwen3", "gpt_neox"])
@settings(max_examples=8, deadline=None)
@given(texts=TEXTS)
def test_attention_along_branches_is_that_with_a_mask(kind, dtype, texts):
    model = tiny_model(kind).to(dtype)
    ids, positions, branches = padded(plant(windows_of(texts), 30))
    given = {"input_ids": ids, "position_ids": positions, "use_cache": False}
    real = torch.arange(ids.shape[1]) < (branches.parents >= 0).sum(dim=1, keepdim=True) + 1
    with torch.inference_mode():
        expected = model(**given, attention_mask=attention(branches, dtype)).logits[real]
        with along_branches(model):
            found = model(**given, attention_mask=places(branches.parents)).logits[real]
        again = model(**given, attention_mask=attention(branches, dtype)).logits[real]
    assert torch.equal(again, expected)
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def test_a_row_along_branches_is_as_long_as_a_pass_whatever_the_number_of_threads(exact):
    forward, shapes = exact["llama"], []
    forward.budget = 300
    hook = forward.model.model.register_forward_pre_hook(
        lambda _, args, given: shapes.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    windows = windows_of([[first, *range(10, 40)] for first in range(40, 50)])
    threads, found = torch.get_num_threads(), []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            found.append(measured(forward, windows, range(10)))
    finally:
        torch.set_num_threads(threads)
        hook.remove()
    assert shapes == [(1, 1 + 31), (1, 288)] * 2  # nine texts have 1 + 9 * 31
    for text, one in found[0].items():
        for name, values in one.predictions.items():
            # On some processors PyTorch adds up a softmax in parts by thread.
            np.testing.assert_allclose(found[1][text].predictions[name], values, rtol=1e-14, err_msg=name)
