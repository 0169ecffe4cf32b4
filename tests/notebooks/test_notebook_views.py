"""Views show their starting picture with and without widgets, redraw in place, and draw what the trace says."""

import sys

import numpy as np
import pandas as pd
import pytest
from IPython.display import HTML
from tiny_models import tiny_model, tiny_policy

from clada_neuro import load_model, trace, widgets
from clada_neuro.errors import FitError
from clada_neuro.policies.dense import Dense
from clada_neuro.runtime.scoring import score
from clada_neuro.widgets import (
    Choice,
    Slider,
    Text,
    active_neurons,
    budget,
    explore,
    neurons_of_layer,
    word_by_word,
)

SENTENCE = "The gardener watered the piano."


class Screen:
    """Stands in for a notebook page: what is displayed, and what a display handle is updated with."""

    def __init__(self):
        self.shown = []

    def display(self, what, display_id=False):
        self.shown.append(what)
        return self if display_id else None

    def update(self, what):
        self.shown.append(what)


@pytest.fixture
def screen(monkeypatch) -> Screen:
    screen = Screen()
    monkeypatch.setattr(widgets, "display", screen.display)
    return screen


def double(number: int, word: str) -> HTML:
    if word == "wrong":
        raise FitError("'wrong' given, <right> expected")
    return HTML(f"{2 * number} {word}")


def test_without_widgets_the_starting_picture_stands_alone(screen, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    explore(double, number=Slider(4, 0, 9), word=Text("dogs"))
    assert [what.data for what in screen.shown] == ["8 dogs"]


def test_a_widget_redraws_the_picture_in_place(screen):
    explore(double, number=Slider(4, 0, 9), word=Choice("dogs", ["dogs", "cats"]))
    box, picture = screen.shown
    assert picture.data == "8 dogs"
    number, word = box.children
    number.value = 5
    word.value = "cats"
    assert [what.data for what in screen.shown[2:]] == ["10 dogs", "10 cats"]


def test_wrong_input_is_answered_with_its_line(screen):
    explore(double, number=Slider(4, 0, 9), word=Text("dogs"))
    screen.shown[0].children[1].value = "wrong"
    assert "&#x27;wrong&#x27; given, &lt;right&gt; expected" in screen.shown[-1].data


def test_fractional_steps_make_fractional_sliders(screen):
    explore(lambda share: HTML(f"{share}"), share=Slider(0.4, 0.0, 0.7, 0.05))
    screen.shown[0].children[0].value = 0.55
    assert screen.shown[-1].data == "0.55"


def test_parts_are_shown_one_below_the_other():
    shown = widgets.show(pd.DataFrame({"a": [1]}), "x < y").data
    assert shown.index("<table") < shown.index("x &lt; y")


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture(scope="module")
def traced(model):
    stimuli = pd.DataFrame({"item": ["1"], "condition": ["typed"], "sentence": [SENTENCE]})
    return trace(stimuli, model, progress=False)


def test_active_neurons_are_those_that_sparsity_counts(model, traced):
    tokens, active = active_neurons(model, SENTENCE)
    assert "".join(tokens) == SENTENCE
    wanted = traced.layers.pivot(index="token_index", columns="layer", values="sparsity_energy99")
    np.testing.assert_allclose(1 - active.mean(axis=-1), wanted, atol=1e-6)


def test_pictures_say_what_they_show(model, traced):
    most = traced.words.set_index("word")["surprisal_bits"].idxmax()
    assert f"5 words; the most surprising one is “{most}”" in word_by_word(traced)._repr_html_()
    tokens, active = active_neurons(model, SENTENCE)
    first, second = (active[place, 3] for place in (0, 1))
    counts = f"{second.sum()} active, {(first & second).sum()} of them before"
    texts = widgets._counts(active[:, 3])
    assert texts[:2] == [f"{first.sum()} active", counts]
    assert neurons_of_layer(tokens, active, 3).caption.startswith("Layer 3")


def test_a_budget_states_what_was_read_and_what_it_cost():
    network = tiny_model()
    ids = [0, *range(3, 20)]
    (dense,), (sparse,) = (
        score(network, policy, [ids]) for policy in (Dense(), tiny_policy(network, kappa=0.1))
    )
    skipped = 100 * float(sparse.ffn_sparsity[4:].mean())
    rise = float((sparse.surprisal_bits - dense.surprisal_bits)[5:].mean())
    assert f"4 dense tokens {skipped:.1f} %" in budget(list("abcdefghijklmnopqr"), dense, sparse).caption
    assert f"{rise:+.2f} bits" in budget(list("abcdefghijklmnopqr"), dense, sparse).caption


def test_continuations_are_marked_from_the_word_where_they_part():
    shown = widgets.side_by_side(
        "A <b>", {"dense": " cat sat", "sparse": " cat saw", "same": " cat sat"}
    ).data
    assert shown.count("A &lt;b&gt;") == 3
    assert '<u> cat </u><b style="color:#0173b2">saw</b>' in shown
    assert shown.count("<u> cat sat</u>") == 2
