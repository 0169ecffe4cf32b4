import csv
import io

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clada_neuro import read_stimuli
from clada_neuro.errors import StimulusError
from clada_neuro.tables import validate

BASIC = pd.DataFrame(
    {
        "item": ["1", "1", "2", "2"],
        "condition": ["good", "bad", "good", "bad"],
        "sentence": [
            "She fed the cat.",
            "She fed the sock.",
            "He drank some tea slowly.",
            "He drank some ink slowly.",
        ],
        "critical_word": ["cat", "sock", "tea", "ink"],
    }
)


def write(folder, text, name="stimuli.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_result_is_a_stimulus_table_in_the_order_of_the_source():
    made = validate(read_stimuli(BASIC.iloc[::-1]), "stimuli")
    assert made["stimulus_id"].tolist() == ["2-bad", "2-good", "1-bad", "1-good"]
    assert made["critical_index"].tolist() == [3, 3, 3, 3]
    assert made["critical_index"].dtype == "Int64"


def test_every_column_is_kept_and_numbers_are_numbers(tmp_path):
    path = write(
        tmp_path,
        "item,condition,sentence,cloze,author,code\n1,a,One two.,0.3,None,01\n2,a,Three four.,NA,NA,02\n",
    )
    made = read_stimuli(path)
    assert made["cloze"].tolist()[0] == pytest.approx(0.3)
    assert made["cloze"].isna().tolist() == [False, True]
    assert made["author"].tolist()[0] == "None"
    assert made["author"].isna().tolist() == [False, True]
    assert made["code"].tolist() == ["01", "02"]
    assert made["critical_word"].isna().all()


def test_semicolon_files_have_decimal_commas(tmp_path):
    made = read_stimuli(write(tmp_path, "item;condition;sentence;cloze\n1;a;One, two.;0,3\n"))
    assert made["cloze"].tolist() == [0.3]
    assert made["sentence"].tolist() == ["One, two."]


def test_names_are_found_whatever_their_case_and_underscores():
    frame = BASIC.rename(columns={"item": "Item", "condition": "CONDITION", "critical_word": "Critical Word"})
    made = read_stimuli(frame)
    assert made["critical_index"].tolist() == [3, 3, 3, 3]
    assert made["Critical Word"].tolist() == BASIC["critical_word"].tolist()


def test_declared_names_win_over_guessed_ones():
    frame = BASIC.rename(columns={"item": "Context", "critical_word": "target"})
    made = read_stimuli(frame, columns={"item": "Context", "critical_word": "target"})
    assert made["item"].tolist() == ["1", "1", "2", "2"]
    assert "context" not in made


@pytest.mark.parametrize("word", ["None", "NA", "null", "nan", "NULL", "N/A"])
def test_words_that_look_missing_stay_words(tmp_path, word):
    text = f"item,condition,sentence,critical_word\n1,a,{word} of them came home.,{word}\n"
    made = read_stimuli(write(tmp_path, text))
    assert made["critical_word"].tolist() == [word]
    assert made["critical_index"].tolist() == [0]


@pytest.mark.parametrize(
    ("sentence", "critical", "index"),
    [
        ("She is good at chess.", "chess", 4),
        ("“Chess,” she said.", "chess", 0),
        ("  Two  spaces   here, ", "here", 2),
        ("It wasn't him, she said.", "wasn't", 1),
        ("Er trank Öl — täglich.", "Öl", 2),
        ("Мама мыла раму.", "раму", 2),
        ("Wow 🎉 indeed!", "🎉", 1),
        ("A rose, a rose, a lily.", "lily", 5),
        ("The US told them so.", "us", 1),
        ("It didn’t end.", "didn't", 1),
        ("Un cafe\u0301 noir.", "caf\u00e9", 1),
        ("Der Donau\u00addampfer kam.", "Donaudampfer", 1),
        ("Good .", ".", 1),
    ],
)
def test_critical_words_are_located(sentence, critical, index):
    frame = pd.DataFrame(
        {"item": [1], "condition": ["a"], "sentence": [sentence], "critical_word": [critical]}
    )
    made = read_stimuli(frame)
    assert made["critical_index"].tolist() == [index]
    assert made["critical_word"].tolist() == [critical]
    assert made["sentence"].tolist() == [sentence]


def test_marks_give_the_critical_word_and_leave_the_sentence(tmp_path):
    made = read_stimuli(write(tmp_path, "A dog *bit* him .\nThey ate “*fish*.”\nNo mark here .\n", "x.stims"))
    assert made["sentence"].tolist() == ["A dog bit him .", "They ate “fish.”", "No mark here ."]
    assert made["critical_word"].fillna("-").tolist() == ["bit", "fish", "-"]
    assert made["critical_index"].fillna(-1).tolist() == [2, 2, -1]
    assert made["item"].tolist() == ["1", "2", "3"]
    assert made["sentence_original"].tolist()[0] == "A dog *bit* him ."


def test_marks_work_in_a_table_too(tmp_path):
    made = read_stimuli(write(tmp_path, 'item,condition,sentence\n1,a,"Well, *he* left."\n'))
    assert made[["sentence", "critical_word", "critical_index"]].to_numpy().tolist() == [
        ["Well, he left.", "he", 1]
    ]


def test_an_index_alone_needs_its_base():
    frame = BASIC.drop(columns="critical_word").assign(critical_index=[4, 4, 4, 4])
    with pytest.raises(StimulusError, match="could count from 0 or from 1; say which: --index-base 0"):
        read_stimuli(frame)
    made = read_stimuli(frame, index_base=1)
    assert made["critical_word"].tolist() == ["cat", "sock", "tea", "ink"]
    assert made["critical_index"].tolist() == [3, 3, 3, 3]
    assert made["critical_index_original"].tolist() == [4, 4, 4, 4]


@pytest.mark.parametrize("base", [0, 1])
def test_an_index_beside_the_word_shows_its_base(base):
    made = read_stimuli(BASIC.assign(critical_index=[3 + base] * 4))
    assert made["critical_index"].tolist() == [3, 3, 3, 3]


@pytest.mark.parametrize(
    ("sentence", "critical", "count", "index"),
    [
        ("that that is", "that", 2, 1),
        ("The boy who fed the horse had always wanted a horse.", "horse", 2, 10),
        ("The boy who fed the “horse” had always wanted a horse.", "horse", 2, 10),
        ("The boy who fed the horse had always wanted a horse.", "horse.", 2, 10),
        ("The boy saw the dog.", "the", 2, 3),
    ],
)
def test_an_index_settles_a_word_that_occurs_twice(sentence, critical, count, index):
    frame = pd.DataFrame(
        {"item": [1], "condition": ["a"], "sentence": [sentence], "critical_word": [critical]}
    )
    with pytest.raises(StimulusError, match=f"row 0: critical word '{critical}' occurs {count} times"):
        read_stimuli(frame)
    made = read_stimuli(frame.assign(critical_index=[index]), index_base=0)
    assert made["critical_index"].tolist() == [index]


@pytest.mark.parametrize("empty", ["", "NA", "NaN", ".", None, float("nan")])
def test_an_index_may_be_written_with_decimals_and_be_missing(empty):
    """As data frames and spreadsheets write whole numbers beside empty cells; without an index no word is critical."""
    frame = BASIC.drop(columns="critical_word").assign(critical_index=["3.0", "3", 3.0, empty])
    made = read_stimuli(frame, index_base=0)
    assert made["critical_index"].fillna(-1).tolist() == [3, 3, 3, -1]
    assert made["critical_word"].fillna("-").tolist() == ["cat", "sock", "tea", "-"]


def test_a_filler_has_neither_word_nor_index():
    frame = BASIC.assign(critical_word=["cat", "sock", "tea", None], critical_index=[4.0, 4.0, 4.0, None])
    made = read_stimuli(frame)
    assert made["critical_index"].fillna(-1).tolist() == [3, 3, 3, -1]
    assert made["critical_word"].fillna("-").tolist() == ["cat", "sock", "tea", "-"]


def test_a_word_that_only_looks_the_same_is_named_by_code_point():
    with pytest.raises(
        StimulusError, match=r"row 0: .*U\+0441 CYRILLIC SMALL LETTER ES in '\u0441at' is U\+0063"
    ):
        read_stimuli(BASIC.assign(critical_word=["\u0441at", "sock", "tea", "ink"]))


def test_regions_as_spans_and_as_labels():
    frame = pd.DataFrame(
        {
            "item": [1, 2],
            "condition": ["a", "a"],
            "sentence": ["The old man left early.", "She sang."],
            "regions": ["The old man | left | early.", "subject|verb"],
            "region_names": ["subject|verb|adverb", ""],
        }
    )
    assert read_stimuli(frame)["regions"].tolist() == [
        ["subject"] * 3 + ["verb", "adverb"],
        ["subject", "verb"],
    ]
    numbered = read_stimuli(frame.drop(columns="region_names").iloc[:1])
    assert numbered["regions"].tolist() == [["1", "1", "1", "2", "3"]]


def test_given_words_serve_texts_without_spaces():
    frame = pd.DataFrame(
        {
            "item": [1],
            "condition": ["a"],
            "sentence": ["我喜欢猫。"],
            "words": ["我|喜欢|猫"],
            "critical_word": ["猫"],
        }
    )
    made = read_stimuli(frame)
    assert made["words"].tolist() == [["我", "喜欢", "猫"]]
    assert made["critical_index"].tolist() == [2]
    with pytest.raises(StimulusError, match="'狗' is not found in order"):
        read_stimuli(frame.assign(words="我|狗"))


def test_own_stimulus_ids_allow_repeated_cells():
    frame = BASIC.assign(condition="all", stimulus_id=list("wxyz"))
    assert read_stimuli(frame)["stimulus_id"].tolist() == list("wxyz")
    with pytest.raises(StimulusError, match="row 1: stimulus_id 'w' already stands in row 0"):
        read_stimuli(frame.assign(stimulus_id=list("wwyz")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("item,condition,sentnce\n1,a,Hi.\n", r"lacks the column 'sentence' \(did you mean 'sentnce'\?\)"),
        (
            "itm,condition,sentence\n1,a,Hi.\n",
            r"lacks the column 'item' \(did you mean 'itm'\?\).*nothing \(item=\)",
        ),
        (
            "item,sentence\n1,Hi.\n1,Ho.\n",
            "row 3: item '1' already stands in row 2; tell its texts apart by a column",
        ),
        ("item,condition,sentence\n1,a,Hi.\n2,,Ho.\n", "row 3: the condition is empty"),
        ("item,condition,sentence\n1,a,Hi.\n,a,Ho.\n", "row 3: the item is empty"),
        ("item,condition,sentence\n1,a,Hi.\n2,a,\n", "row 3: the sentence is empty"),
        (
            "item,condition,sentence,critical_word\n1,a,The dog ran.,dog\n\n2,a,The cat ran.,dog\n",
            "row 4: critical word 'dog' is not in its sentence 'The cat ran.'",
        ),
        (
            "item,condition,sentence\n1,a,Hi.\n1,b,Ho.\n1,a,He.\n",
            "row 4: item '1', condition 'a' already stands in row 2",
        ),
        ("item,condition,sentence\n1,a,*One* of *two*.\n", r"row 2: 2 \*marked\* words"),
        (
            "item,condition,sentence,critical_word,critical_index\n1,a,The dog ran.,dog,3\n",
            "row 2: critical word 'dog' is not at critical_index 3 counted from 0 or from 1",
        ),
        (
            "item,condition,sentence,critical_word\n1,a,The ice cream ran.,ice creams\n",
            "row 2: critical word 'ice creams' is not in its sentence",
        ),
        (
            "item,condition,sentence,critical_word,critical_index\n1,a,The ice cream ran.,ice cream,1-3\n",
            "row 2: critical word 'ice cream' is not at critical_index 1-3",
        ),
        (
            "item,condition,sentence,critical_word,critical_index\n1,a,The dog ran.,dog,1\n2,a,The cat ran.,cat,2\n",
            "row 3: critical word 'cat' is not at critical_index 2 as the rows above count",
        ),
        (
            "item,condition,sentence,critical_index,critical_word\n1,a,The dog.,one,dog\n",
            "'one' is not a whole number",
        ),
        ("item,condition,sentence,regions\n1,a,The dog ran off.,The|dog ran\n", "row 2: the 2 regions"),
    ],
)
def test_wrong_input_is_one_line_with_file_and_row(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(StimulusError, match=message) as raised:
        read_stimuli(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("base", "message"),
    [(0, "critical_index 4 .from 0. is outside the 4 words"), (1, "'cat' expected at critical_index 3"),
     (2, "0 or 1 expected")],
)  # fmt: skip
def test_a_declared_base_is_checked(base, message):
    index = [4, 3, 3, 3] if base == 0 else [3, 4, 4, 4]
    with pytest.raises(StimulusError, match=message):
        read_stimuli(BASIC.assign(critical_index=index), index_base=base)


def test_unknown_names_and_columns_are_refused():
    with pytest.raises(StimulusError, match=r"'critcal_word' \(did you mean 'critical_word'\?\)"):
        read_stimuli(BASIC, columns={"critcal_word": "x"})
    with pytest.raises(StimulusError, match=r"lacks the column 'Frames' .*declared as the item"):
        read_stimuli(BASIC, columns={"item": "Frames"})


def test_reading_what_was_read_changes_nothing():
    frame = BASIC.assign(regions="1|2|3|4|5", cloze=["0.1", "2", "x", ""], count=[1, 2, 3, 4])
    frame.loc[:1, "regions"] = "a|b|c|d"
    once = read_stimuli(frame.assign(context="Then."))
    pd.testing.assert_frame_equal(read_stimuli(once), once)


def test_columns_of_a_frame_keep_their_types():
    made = read_stimuli(
        BASIC.assign(subject=["1", "2", "3", "4"], cloze=[0.1, None, 0.3, 0.4], list=[1, 2, 1, 2])
    )
    assert made["subject"].tolist() == ["1", "2", "3", "4"]
    assert made["cloze"].dtype == float
    assert made["list"].dtype == int


def test_a_frame_with_a_column_twice_is_refused():
    with pytest.raises(StimulusError, match="the data frame names the column 'item' twice"):
        read_stimuli(pd.concat([BASIC, BASIC[["item"]]], axis=1))


def test_old_excel_files_are_refused(tmp_path):
    with pytest.raises(StimulusError, match=r"save it as \.xlsx or CSV"):
        read_stimuli(tmp_path / "stimuli.xls")


def test_an_empty_frame_is_refused():
    with pytest.raises(StimulusError, match="the data frame is empty"):
        read_stimuli(BASIC.iloc[:0])


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1).filter(
    lambda text: text.strip() and "*" not in text
)


@settings(max_examples=60, deadline=None)
@given(sentences=st.lists(TEXT, min_size=1, max_size=4), separator=st.sampled_from(",;\t"), bom=st.booleans())
def test_any_text_survives_any_separator_and_quoting(tmp_path_factory, sentences, separator, bom):
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator, lineterminator="\r\n")
    writer.writerow(["item", "condition", "sentence", "note"])
    for number, sentence in enumerate(sentences):
        writer.writerow([number, "a", sentence, sentence])
    path = tmp_path_factory.mktemp("any") / "stimuli.csv"
    path.write_bytes(buffer.getvalue().encode("utf-8-sig" if bom else "utf-8"))
    assert read_stimuli(path)["sentence"].tolist() == sentences


@settings(max_examples=40, deadline=None)
@given(words=st.lists(st.text("abcdé'", min_size=1), min_size=1, max_size=8), data=st.data())
def test_a_marked_word_is_found_again_wherever_it_stands(words, data):
    index = data.draw(st.integers(0, len(words) - 1))
    marked = [f"*{word}*" if place == index else word for place, word in enumerate(words)]
    frame = pd.DataFrame({"item": [1], "condition": ["a"], "sentence": [" ".join(marked)]})
    made = read_stimuli(frame)
    assert made["critical_index"].tolist() == [index]
    assert made["critical_word"].tolist() == [words[index]]
    assert made["sentence"].tolist() == [" ".join(words)]


def test_a_workbook_reads_like_its_csv(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["item", "condition", "sentence", "critical_word", "cloze"])
    book.active.append([1, "good", "She fed the cat.", "cat", 0.9])
    book.active.append([1, "bad", "She fed the sock.", "sock", 0])
    book.save(tmp_path / "x.xlsx")
    text = "item,condition,sentence,critical_word,cloze\n1,good,She fed the cat.,cat,0.9\n1,bad,She fed the sock.,sock,0\n"
    pd.testing.assert_frame_equal(read_stimuli(tmp_path / "x.xlsx"), read_stimuli(write(tmp_path, text)))
