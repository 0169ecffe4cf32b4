"""A table of trials is read by one reader, and refused before anything is computed where it cannot be meant so."""

import pandas as pd
import pytest

from clada_neuro.errors import AlignmentError, StimulusError
from clada_neuro.responses.trials import read_columns, read_trials


def written(tmp_path, text, name="trials.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_trials_are_read_with_numbers_as_numbers_and_words_as_words(tmp_path):
    trials = read_trials(written(tmp_path, "subject;item;word;n400_uv\ns1;1;None;-1,5\ns1;2;cat;2,25\n"))
    assert trials["n400_uv"].tolist() == [-1.5, 2.25]
    assert trials["word"].tolist() == ["None", "cat"]
    assert trials["item"].tolist() == ["1", "2"]


def test_trials_without_a_subject_are_refused_with_a_hint(tmp_path):
    with pytest.raises(AlignmentError, match=r"did you mean 'subjekt'.*--trial-column subject="):
        read_trials(written(tmp_path, "subjekt,n400_uv\n1,2.0\n"))


def test_parquet_and_text_give_the_same_columns(tmp_path):
    text = "subject,item,condition,n400_uv,norm\n1,01,1,0.5,.2\n2,2,2,,n/a\n"
    from_text = read_trials(written(tmp_path, text))
    from_text.to_parquet(tmp_path / "trials.parquet")
    pd.testing.assert_frame_equal(read_trials(tmp_path / "trials.parquet"), from_text)
    pd.DataFrame({"subject": [1], "condition": [2], "n400_uv": [0.5]}).to_parquet(tmp_path / "ints.parquet")
    assert read_trials(tmp_path / "ints.parquet").iloc[0, :2].tolist() == ["1", "2"]


def test_text_in_an_amplitude_column_is_named_with_its_row(tmp_path):
    with pytest.raises(StimulusError, match="row 3: 'artifact' in column 'n400_uv' is not a number"):
        read_trials(written(tmp_path, "subject,n400_uv\ns1,1.5\ns2,artifact\n"))
    pd.DataFrame({"subject": ["a", "b"], "n400_uv": ["1.5", "x"]}).to_parquet(tmp_path / "trials.parquet")
    with pytest.raises(AlignmentError, match=r"row 1: 'x' in column 'n400_uv' is not a number"):
        read_trials(tmp_path / "trials.parquet")


@pytest.mark.parametrize("empty", ["", "NA", "NaN", "."])
def test_a_response_that_is_empty_throughout_is_refused(tmp_path, empty):
    path = written(tmp_path, f"subject,n400_uv,p600_uv\ns1,1.5,{empty}\ns2,2.5,{empty}\n")
    with pytest.raises(AlignmentError, match="the column 'p600_uv' is empty in all 2 rows"):
        read_trials(path, numbers=["p600_uv"])
    assert read_trials(path)["p600_uv"].isna().all()


def test_amplitudes_in_volts_are_refused(tmp_path):
    path = written(tmp_path, "subject,n400_uv\ns1,1.5e-6\ns2,-2.5e-6\n")
    with pytest.raises(
        AlignmentError, match="smaller than 2e-06 µV, so they must be volts; multiply them by 1e6"
    ):
        read_columns(path)


def test_a_baseline_that_was_subtracted_before_is_no_volt(tmp_path):
    trials = read_columns(written(tmp_path, "n400_uv,n400_baseline_uv\n1.5,1e-9\n2,-1e-9\n"))
    assert trials["n400_baseline_uv"].tolist() == [1e-9, -1e-9]


def test_a_workbook_whose_first_sheet_holds_notes_names_the_others(tmp_path):
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        pd.DataFrame({"notes": ["measured in May"]}).to_excel(book, sheet_name="about", index=False)
        pd.DataFrame({"subject": ["a"], "n400_uv": [1.0]}).to_excel(book, sheet_name="data", index=False)
    with pytest.raises(
        AlignmentError, match=r"sheet 'about' \(--trial-sheet chooses another: data\) lacks .*'subject'"
    ):
        read_trials(tmp_path / "t.xlsx")
    assert len(read_trials(tmp_path / "t.xlsx", sheet="data")) == 1
    with pytest.raises(AlignmentError, match="lacks the columns 'x', 'y'; it has subject, n400_uv"):
        read_columns(tmp_path / "t.xlsx", sheet="data", required=("x", "y"))
