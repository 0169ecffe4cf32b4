"""Words that no spaces separate, critical regions of several words, and writing from right to left."""

import pandas as pd
import pytest

from clada_neuro import read_stimuli
from clada_neuro.errors import StimulusError
from clada_neuro.stimuli.design import region_labels, words_of
from clada_neuro.stimuli.segments import join_pieces, join_words
from clada_neuro.tables import validate


def read(sentences, separator=None, index_base=None, **columns):
    frame = pd.DataFrame({"sentence": sentences, **columns})
    return validate(read_stimuli(frame, separator=separator, index_base=index_base), "stimuli")


def words(made):
    return [words_of(row) for _, row in made.iterrows()]


@pytest.mark.parametrize(
    ("sentence", "separator", "text", "expected"),
    [
        ("我|喜欢|猫。", "|", "我喜欢猫。", ["我", "喜欢", "猫。"]),
        ("我 喜欢 猫 。", " ", "我喜欢猫。", ["我", "喜欢", "猫", "。"]),
        ("我 / 喜欢 / 猫", " / ", "我喜欢猫", ["我", "喜欢", "猫"]),
        ("私/は/猫/が/好き/だ。", "/", "私は猫が好きだ。", ["私", "は", "猫", "が", "好き", "だ。"]),
        ("ฉัน|ชอบ|แมว", "|", "ฉันชอบแมว", ["ฉัน", "ชอบ", "แมว"]),
        (
            "나|는 고양이|를 좋아한다.",
            "|",
            "나는 고양이를 좋아한다.",
            ["나", "는", "고양이", "를", "좋아한다."],
        ),
        ("l'|homme est là", "|", "l'homme est là", ["l'", "homme", "est", "là"]),
    ],
)
def test_a_separator_ends_words_and_leaves_the_text(sentence, separator, text, expected):
    made = read([sentence], separator)
    assert made["sentence"].tolist() == [text]
    assert words(made) == [expected]
    assert made["sentence_original"].tolist() == [sentence]
    assert any(note.startswith("words without a space") and text in note for note in made.attrs["notes"])


def test_a_separator_is_taken_out_of_contexts_and_critical_words():
    made = read(
        ["他|不|喜欢|狗。", "她|走|了"], "|", context=["天|黑|了。", ""], critical_word=["喜欢|狗", "走"]
    )
    assert made["context"].tolist() == ["天黑了。", ""]
    assert made["critical_word"].tolist() == ["喜欢狗", "走"]
    assert made["critical_index"].tolist() == [2, 1]
    assert words(made) == [["他", "不", "喜欢狗。"], ["她", "走", "了"]]


def test_marks_stand_beside_separators():
    made = read(["我|*喜欢*|猫。", "他|不|*喜欢|狗*。", "没有|人"], "|")
    assert made["sentence"].tolist() == ["我喜欢猫。", "他不喜欢狗。", "没有人"]
    assert made["critical_word"].fillna("-").tolist() == ["喜欢", "喜欢狗", "-"]
    assert made["critical_index"].fillna(-1).tolist() == [1, 2, -1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(separator="|"), "row 0: the separator '|' occurs in no sentence, such as '我喜欢猫。'"),
        (dict(separator=""), "an empty separator given"),
        (dict(separator="喜", words=["我|喜欢|猫。"]), "a separator is given beside the column words"),
        (dict(word_spans=["0-1 1-3"]), "row 0: '猫。' is in no span"),
        (dict(word_spans=["0-1 1-9"]), "row 0: the span 1-9 is empty, overlaps"),
        (dict(word_spans=["0-2 1-5"]), "row 0: the span 1-5 is empty, overlaps"),
        (dict(word_spans=["0:1, one"]), "row 0: the spans '0:1, one' hold 'one'"),
        (dict(words=["我|喜欢|狗。"]), "row 0: the word '狗。' is not found in order"),
    ],
)
def test_what_does_not_divide_the_sentence_is_one_line(change, message):
    with pytest.raises(StimulusError) as raised:
        read(["我喜欢猫。"], **change)
    assert message in str(raised.value)


@pytest.mark.parametrize("spans", ["0-1 1-3 3-5", "0:1,1:3,3:5", [[0, 1], [1, 3], [3, 5]]])
def test_words_are_given_by_character_spans(spans):
    made = read(["我喜欢猫。"], word_spans=[spans], critical_word=["喜欢"])
    assert words(made) == [["我", "喜欢", "猫。"]]
    assert made["critical_index"].tolist() == [1]


def test_words_given_one_by_one_are_joined_as_they_are_written():
    assert join_words(["我", "喜欢", "iPhone", "。"]) == "我喜欢iPhone。"
    assert join_words(["나는", "고양이를", "좋아한다."]) == "나는 고양이를 좋아한다."
    assert join_words(["ฉัน", "ชอบ", "แมว"]) == "ฉันชอบแมว"
    assert join_words(["l'", "homme", "est", "là"], [False, True, True, True]) == "l'homme est là"
    assert join_pieces(["In the lobby", "", " , he", "left", "."]) == "In the lobby, he left."


def test_a_row_a_word_needs_no_spaces_and_no_names_of_texts():
    frame = pd.DataFrame(
        {"word": ["我", "喜欢", "猫", "。"], "word_index": range(4), "is_critical": [0, 1, 1, 0]}
    )
    made = read_stimuli(frame)
    assert made[["item", "condition", "stimulus_id", "sentence", "critical_word"]].to_numpy().tolist() == [
        ["1", "all", "1", "我喜欢猫。", "喜欢猫"]
    ]
    assert words(made) == [["我", "喜欢猫", "。"]]
    french = pd.DataFrame(
        {"word": ["l'", "homme", "est"], "word_index": range(3), "space_after": [0, 1, "yes"]}
    )
    assert read_stimuli(french)["sentence"].tolist() == ["l'homme est"]


@pytest.mark.parametrize(
    ("columns", "base"),
    [
        (dict(critical_word=["swum from", "die Axt"]), None),
        (dict(critical_word=["Swum from", "die Axt"], critical_index=["3-4", "3-4"]), None),
        (dict(critical_word=["swum from", "die Axt"], critical_index=["2", "2"]), None),
        (dict(critical_index=["3-4", "3-4"]), 1),
    ],
)
def test_a_critical_region_of_several_words_is_measured_as_one(columns, base):
    made = read(["He had swum from, they said.", "Er nahm die Axt mit."], index_base=base, **columns)
    assert words(made) == [["He", "had", "swum from,", "they", "said."], ["Er", "nahm", "die Axt", "mit."]]
    assert made["critical_index"].tolist() == [2, 2]
    assert made["critical_word"].str.casefold().tolist() == ["swum from", "die axt"]
    assert sum("count as one word in 2 of 2 texts" in note for note in made.attrs["notes"]) == 1
    pd.testing.assert_frame_equal(read_stimuli(made), made)


def test_words_that_only_read_alike_without_their_space_are_no_region():
    made = read(["A lone wolf was alone."], critical_word=["alone"])
    assert made["critical_index"].tolist() == [4]
    with pytest.raises(StimulusError, match="occurs 2 times"):
        read(["Die Axt lag bei der Axt, die Axt."], critical_word=["die Axt"])


def test_regions_follow_the_words():
    made = read(["Er nahm die Axt mit."], critical_word=["die Axt"], regions=["Er nahm | die | Axt mit."])
    assert made["regions"].tolist() == [["1", "1", "2 + 3", "3"]]
    made = read(["我|喜欢|猫。"], "|", regions=["我喜欢|猫。"], region_names=["begin|end"])
    assert made["regions"].tolist() == [["begin", "begin", "end"]]
    with pytest.raises(StimulusError, match="the word '喜欢' stands in two regions"):
        region_labels("我喜|欢猫", ["我", "喜欢", "猫"])


@pytest.mark.parametrize(
    ("sentence", "critical", "index"),
    [
        ("أكل الولد التفاحة.", "الولد", 1),
        ("هل نام الطفل؟", "الطفل", 2),
        ("הילד אכל את התפוח.", "את התפוח", 2),
        ("\u200fהילד\u200f אכל.", "הילד", 0),
    ],
)
def test_words_from_right_to_left_are_in_the_order_of_reading(sentence, critical, index):
    made = read([sentence], critical_word=[critical])
    assert made["critical_index"].tolist() == [index]
    assert made["sentence"].tolist() == [sentence]


def test_items_and_conditions_may_be_missing():
    made = read(["One.", "Two."])
    assert made[["stimulus_id", "item", "condition"]].to_numpy().tolist() == [
        ["1", "1", "all"],
        ["2", "2", "all"],
    ]
    assert made.attrs["notes"] == [
        "no column item: every text is an item of its own, numbered from 1 as the texts stand",
        "no column condition: all texts are of one condition",
    ]
    assert read(["One.", "Two."], ItemNum=["x", "y"])["item"].tolist() == ["x", "y"]
    assert read(["One.", "Two."], stimulus_id=["p", "q"])["item"].tolist() == ["p", "q"]
    with pytest.raises(StimulusError, match=r"lacks the column 'item' \(ItemNum, ItemID could each be it\)"):
        read(["One.", "Two."], ItemNum=["x", "y"], ItemID=["y", "x"])


def test_columns_that_only_sound_like_items_or_conditions_are_columns():
    assert read(["One."], term=["x"], position=[3], title=["y"])["item"].tolist() == ["1"]
    for name in ("items", "Itm"):
        with pytest.raises(StimulusError, match="lacks the column 'item'"):
            read(["One."], **{name: ["x"]})
    with pytest.raises(StimulusError, match="did you mean 'conditon'"):
        read(["One."], conditon=["x"])
