"""Which columns play a part, which are the user's own, and that those which act are named."""

import pandas as pd
import pytest

from clada_neuro import read_stimuli
from clada_neuro.errors import StimulusError

FACTORIAL = pd.DataFrame(
    {
        "item": ["1", "1", "2", "2"],
        "condition": ["x", "y", "x", "y"],
        "sentence": ["She fed the cat.", "She fed the sock.", "He drank tea slowly.", "He drank ink slowly."],
        "critical_word": ["cat", "sock", "tea", "ink"],
        "Context": ["neutral", "biasing", "neutral", "biasing"],
    }
)


def notes(frame, **columns):
    return read_stimuli(frame, columns=columns).attrs["notes"]


def test_a_column_that_acts_as_preceding_text_is_named_with_the_way_out():
    found = read_stimuli(FACTORIAL)
    assert found["context"].tolist() == FACTORIAL["Context"].tolist()
    assert found.attrs["notes"] == [
        "preceding text: column Context (such as 'neutral'; if that is no text, declare it away: --column context=)"
    ]
    assert notes(FACTORIAL.assign(Context="They had no food left.")) == ["preceding text: column Context"]


@pytest.mark.parametrize("nothing", ["", None])
@pytest.mark.parametrize("name", ["Context", "context"])
def test_a_factor_is_declared_to_be_no_text(name, nothing):
    found = read_stimuli(FACTORIAL.rename(columns={"Context": name}), columns={"context": nothing})
    assert "context" not in found
    assert found[{"context": "context_original"}.get(name, name)].tolist() == FACTORIAL["Context"].tolist()
    assert found.attrs["notes"] == []
    pd.testing.assert_frame_equal(read_stimuli(found, columns={"context": ""}), found)


OWN = {
    "words": [4, 4, 4, 4],
    "regions": ["frontal", "central"] * 2,
    "region_names": ["F", "C"] * 2,
    "word": ["cat", "sock", "tea", "ink"],
    "word_index": [4, 4, 2, 2],
    "is_critical": [True, True, False, False],
}


@pytest.mark.parametrize("name", OWN)
def test_columns_of_the_user_may_have_any_name(name, tmp_path):
    frame = FACTORIAL.drop(columns="Context").assign(**{name: OWN[name]})
    frame.to_csv(tmp_path / "own.csv", index=False)
    for source in (frame, tmp_path / "own.csv"):
        found = read_stimuli(source)
        assert list(map(str, found[name])) == list(map(str, OWN[name]))
        assert found["critical_index"].tolist() == [3, 3, 2, 2]
        # Names of regions without regions say that they do nothing.
        assert (found.attrs["notes"] == []) == (name != "region_names")


def test_what_divides_sentences_acts_and_is_named():
    frame = FACTORIAL.drop(columns="Context").assign(words="a|b", regions="s|v|o|p")
    frame["words"] = frame["sentence"].str.replace(" ", "|")
    assert notes(frame) == ["words of the sentence: column words", "regions: column regions"]
    own = read_stimuli(frame, columns={"words": "", "regions": ""})
    assert (own["words"] == frame["words"]).all()
    assert (own["regions"] == "s|v|o|p").all()


AREAS = pd.DataFrame(
    {
        "item": [1, 1, 2, 2],
        "condition": "a",
        "Sentence": [10, 10, 11, 11],
        "Wort": ["She", "sang.", "He", "slept."],
        "Position": [1, 2, 1, 2],
    }
)


def test_declared_words_win_over_a_column_named_sentence():
    found = read_stimuli(AREAS, columns={"word": "Wort", "word_index": "Position"})
    assert found["sentence"].tolist() == ["She sang.", "He slept."]
    assert found["Sentence"].tolist() == [10, 11]
    assert found.attrs["notes"] == ["a row a word: column Wort", "order of the words: column Position"]
    with pytest.raises(StimulusError, match="word is declared beside sentence"):
        read_stimuli(AREAS, columns={"word": "Wort", "word_index": "Position", "sentence": "Sentence"})


def test_a_word_alone_does_not_hide_that_the_sentence_is_missing():
    with pytest.raises(StimulusError, match="lacks the column 'sentence'; with a row a word it needs"):
        read_stimuli(AREAS.drop(columns="Sentence").rename(columns={"Wort": "word"}))


def test_items_reused_over_lists_are_told_the_way_out():
    frame = FACTORIAL.assign(item="1")
    with pytest.raises(
        StimulusError, match=r"row 2: item '1', condition 'x' already stands in row 0; .*stimulus_id"
    ):
        read_stimuli(frame)
    found = read_stimuli(frame.assign(stimulus_id=[7, 8, 9, 10]), columns={"context": ""})
    assert found["stimulus_id"].tolist() == ["7", "8", "9", "10"]
    assert found.attrs["notes"] == []
    assert notes(frame.assign(StimulusID=list("abcd")), context="") == [
        "identifiers of texts: column StimulusID"
    ]


def test_names_of_regions_that_nobody_divided_do_nothing_and_say_so():
    frame = pd.DataFrame(
        {"item": ["1"], "condition": ["a"], "sentence": ["The cat sat."], "region_names": ["s|v"]}
    )
    (note,) = read_stimuli(frame).attrs["notes"]
    assert "region_names would name regions, but no column says where they begin" in note
    with pytest.raises(
        StimulusError, match="region_names is declared, but no column says where regions begin"
    ):
        read_stimuli(frame, columns={"region_names": "region_names"})
