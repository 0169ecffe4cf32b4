import matplotlib
import numpy as np
import pandas as pd
import pytest

from clada_neuro.reporting.results import read_results
from clada_neuro.reporting.sections.sentences import _ink, _position, shadings


@pytest.fixture(scope="module")
def results(full_folder):
    return read_results(full_folder)


def test_shows_two_items_of_each_condition_under_both_measures(results):
    found = shadings(results)
    assert [shading.name for shading in found] == ["surprisal_bits", "sparsity_energy99"]
    labels = [sentence.label for sentence in found[0].sentences]
    assert labels == [f"{item} · {c}" for item in "01" for c in ("expected", "related", "unrelated")]
    assert [s.label for s in found[1].sentences] == labels


def test_critical_word_is_marked_and_a_first_word_is_not_available(results):
    words = shadings(results)[0].sentences[0].words
    assert [word.critical for word in words] == [False, False, False, True, False]
    assert words[0].value == "NA"


def test_darker_is_more(results):
    words = [
        word for sentence in shadings(results)[0].sentences for word in sentence.words if word.value != "NA"
    ]
    words.sort(key=lambda word: float(word.value))
    darkness = [sum(int(word.background[k : k + 2], 16) for k in (1, 3, 5)) for word in words]
    assert darkness[0] > darkness[-1]


@pytest.mark.parametrize("name", ["Blues", "YlOrBr"])
def test_text_is_readable_on_every_shade(name):
    def luminance(color) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    for height in np.linspace(0, 1, 50):
        shade = matplotlib.colormaps[name](_position(height))
        ink = matplotlib.colors.to_rgb(_ink(shade))
        light, dark = sorted((luminance(shade), luminance(ink)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_long_texts_are_cut_and_say_so(results):
    words = pd.DataFrame(
        {"stimulus_id": "a", "word_index": range(100), "word": "w", "surprisal_bits": np.arange(100.0)}
    )
    changed = type(results)(**{**vars(results), "tables": {"words": words}})
    (sentence,) = shadings(changed)[0].sentences
    assert (len(sentence.words), sentence.cut) == (40, 60)
