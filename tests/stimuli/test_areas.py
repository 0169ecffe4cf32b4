import pandas as pd
import pytest

from clada_neuro import read_stimuli
from clada_neuro.errors import StimulusError

REPORT = pd.DataFrame(
    {
        "item": [7, 7, 7, 7, 8, 8],
        "condition": ["a"] * 4 + ["b"] * 2,
        "IA_ID": [1, 2, 3, 4, 2, 1],
        "IA_LABEL": ["The", "dog", "ran", "off.", "sang.", "She"],
        "frequency": [7.0, 5.0, 5.5, 6.0, 4.0, 7.0],
        "length_group": ["long"] * 4 + ["short"] * 2,
    }
)


def test_a_row_a_word_becomes_a_row_a_text():
    made = read_stimuli(REPORT)
    assert made["sentence"].tolist() == ["The dog ran off.", "She sang."]
    assert made["stimulus_id"].tolist() == ["7-a", "8-b"]
    assert made["length_group"].tolist() == ["long", "short"]
    assert made["frequency"].tolist() == [[7.0, 5.0, 5.5, 6.0], [7.0, 4.0]]
    assert "words" not in made


def test_the_same_report_as_a_file(tmp_path):
    REPORT.to_csv(tmp_path / "report.txt", sep="\t", index=False)
    assert read_stimuli(tmp_path / "report.txt")["sentence"].tolist() == ["The dog ran off.", "She sang."]


def test_areas_with_spaces_stay_one_word_each():
    made = read_stimuli(REPORT.replace({"IA_LABEL": {"dog": "big dog"}}))
    assert made["sentence"].tolist()[0] == "The big dog ran off."
    assert made["words"].tolist() == [["The", "big dog", "ran", "off."], ["She", "sang."]]


def test_a_critical_area_is_marked():
    made = read_stimuli(REPORT.assign(is_critical=[0, 1, 0, 0, 1, 0]))
    assert made["critical_word"].tolist() == ["dog", "sang"]
    assert made["critical_index"].tolist() == [1, 1]


def test_numbers_may_come_with_decimals():
    made = read_stimuli(
        REPORT.assign(IA_ID=REPORT["IA_ID"] + 0.0, is_critical=["", "1.0", None, "0.0", "1", "FALSE"])
    )
    assert made["sentence"].tolist() == ["The dog ran off.", "She sang."]
    assert made["critical_word"].tolist() == ["dog", "sang"]


def test_a_critical_area_is_placed_even_beside_its_twin():
    twins = REPORT.replace({"IA_LABEL": {"dog": "had", "ran": "had"}}).assign(is_critical=[0, 0, 1, 0, 0, 0])
    made = read_stimuli(twins)
    assert made["critical_index"].fillna(-1).tolist() == [2, -1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda report: report.drop(columns="IA_ID"), "needs the column 'word_index'"),
        (
            lambda report: report.assign(IA_ID=[1, 2, 2, 4, 2, 1]),
            "row 2: word_index 2 already stands in row 1",
        ),
        (
            lambda report: report.assign(IA_ID=[1, "x", 3, 4, 2, 1]),
            "row 1: word_index 'x' is not a whole number",
        ),
        (
            lambda report: report.assign(is_critical=[1, 0, 1, 0, 0, 0]),
            "row 2: a second critical area in the same text, apart from the first",
        ),
        (lambda report: report.assign(space_after="perhaps"), "row 0: space_after 'perhaps' given, 1 or 0"),
        (
            lambda report: report.assign(is_critical=[0, "target", 0, 0, 0, 0]),
            "row 1: is_critical 'target' given, 1 or 0 expected",
        ),
    ],
)
def test_wrong_reports_are_one_line(change, message):
    with pytest.raises(StimulusError, match=message):
        read_stimuli(change(REPORT))


def test_a_region_of_several_areas_has_one_cell_in_the_caller_s_columns():
    made = read_stimuli(
        pd.DataFrame(
            {"item": 1, "condition": "x", "word": ["She", "had", "swum", "from", "here."], "word_index": range(1, 6),
             "is_critical": [0, 0, 1, 1, 0], "RT": [300, 305, 310, 320, 330], "tag": list("PVVIN"), "block": [1, 2, 3, 3, 4]}
        )
    ).iloc[0]  # fmt: skip
    assert made["words"] == ["She", "had", "swum from", "here."]
    assert made["RT"] == [300, 305, None, 330]
    assert made["tag"] == ["P", "V", "V I", "N"]
    assert made["block"] == [1, 2, 3, 4]
    assert made["file_row"] == [0, 1, 2, 4]
