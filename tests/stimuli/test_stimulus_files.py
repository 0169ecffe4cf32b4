import codecs
import gzip

import openpyxl
import pandas as pd
import pytest

from clada_neuro.errors import StimulusError
from clada_neuro.stimuli.files import as_text, read_lines, read_table
from clada_neuro.stimuli.formats import read_stimuli

ROWS = [
    ["item", "condition", "sentence"],
    ["1", "a", "None of it, they said; NA was null."],
    ["1", "b", "Grüße, мир"],
]


def as_csv(separator: str) -> str:
    return "\n".join(separator.join(f'"{cell}"' for cell in row) for row in ROWS) + "\n"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_separators_line_ends_and_encodings_give_the_same_cells(tmp_path, separator, line_end, encoding):
    path = tmp_path / "stimuli.csv"
    path.write_bytes(as_csv(separator).replace("\n", line_end).encode(encoding))
    table = read_table(path)
    assert [list(table.frame.columns), *table.frame.to_numpy().tolist()] == ROWS
    assert table.rows == ["2", "3"]


def test_a_workbook_gives_the_same_cells(tmp_path):
    book = openpyxl.Workbook()
    for row in ROWS:
        book.active.append(row)
    book.create_sheet("other").append(["x"])
    book.save(tmp_path / "stimuli.xlsx")
    table = read_table(tmp_path / "stimuli.xlsx")
    assert [list(table.frame.columns), *table.frame.to_numpy().tolist()] == ROWS
    with pytest.raises(StimulusError, match=r"no sheet 'third'.*; it has Sheet, other"):
        read_table(tmp_path / "stimuli.xlsx", sheet="third")


def test_a_workbook_shows_whole_numbers_without_a_point(tmp_path):
    book = openpyxl.Workbook()
    for row in (["item", "cloze", "note"], [3.0, 0.25, None], [4, 1, "x"]):
        book.active.append(row)
    book.save(tmp_path / "numbers.xlsx")
    assert read_table(tmp_path / "numbers.xlsx").frame.to_numpy().tolist() == [
        ["3", "0.25", ""],
        ["4", "1", "x"],
    ]


def test_a_broken_workbook_is_one_line(tmp_path):
    (tmp_path / "broken.xlsx").write_text("item,condition\n")
    with pytest.raises(StimulusError, match=r"not a readable \.xlsx workbook"):
        read_table(tmp_path / "broken.xlsx")


def test_blank_rows_are_skipped_but_counted(tmp_path):
    (tmp_path / "gaps.csv").write_text("\nitem,sentence\n\n1,one\n,\n2,two\n")
    assert read_table(tmp_path / "gaps.csv").rows == ["4", "6"]


def test_a_quoted_line_break_stays_in_its_cell(tmp_path):
    (tmp_path / "long.csv").write_text('item,sentence\n1,"a story\nin two lines"\n2,b\n')
    table = read_table(tmp_path / "long.csv")
    assert table.frame["sentence"].tolist() == ["a story\nin two lines", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: no row found"),
        (b"item,sentence\n", "a header but no row below it"),
        (b"item,item\n1,2\n", "names the column 'item' twice"),
        (b"item,sentence\n1,one, two\n", "row 2: 3 cells found, 2 expected"),
        (b'item,sentence\n1,"one\n', "unbalanced quotes"),
        (b"item,sentence\n1,caf\xe9\n", "line 2: byte 0xe9 is not utf-8"),
        ("item,sentence\n1,x\n".encode("utf-16-le"), "NUL characters"),
    ],
)
def test_a_damaged_file_is_one_line_with_file_and_row(tmp_path, content, message):
    path = tmp_path / "damaged.csv"
    path.write_bytes(content)
    with pytest.raises(StimulusError, match=message) as raised:
        read_table(path)
    assert "damaged.csv" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_declared_encoding_is_used(tmp_path):
    (tmp_path / "latin.csv").write_bytes("item,sentence\n1,café\n".encode("latin-1"))
    assert read_table(tmp_path / "latin.csv", encoding="latin-1").frame["sentence"].item() == "café"


def test_a_missing_file_and_a_folder_are_one_line(tmp_path):
    with pytest.raises(StimulusError, match="No such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(StimulusError, match="Is a directory"):
        read_table(tmp_path)


def test_lines_keep_their_numbers(tmp_path):
    (tmp_path / "x.stims").write_bytes(codecs.BOM_UTF8 + b"A *b* c .\r\n\r\nD *e* f .\r\n")
    table = read_lines(tmp_path / "x.stims")
    assert table.frame["sentence"].tolist() == ["A *b* c .", "D *e* f ."]
    assert table.rows == ["1", "3"]


def test_a_quote_that_swallows_rows_is_named_with_its_row(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_text('item\tsentence\n1\tA cat.\n2\t"Come in.\n3\tA dog.\n4\tGo away."\n', encoding="utf-8")
    with pytest.raises(StimulusError, match="row 3: a quote makes one cell of 3 rows"):
        read_table(path)


def test_a_quote_inside_a_cell_is_named_with_its_row(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_text('item\tsentence\n1\tA cat.\n2\t"Come in," he said.\n', encoding="utf-8")
    with pytest.raises(StimulusError, match="row 3 has unbalanced quotes"):
        read_table(path)


def test_only_line_feeds_and_returns_end_a_line(tmp_path):
    (tmp_path / "x.csv").write_text("item,sentence\u2028\n1,A\x85cat\u2028slept.\n", encoding="utf-8")
    (tmp_path / "x.stims").write_text("A *b*\u2028c.\r\nD *e*\x85f.\r\n", encoding="utf-8", newline="")
    assert read_table(tmp_path / "x.csv").frame.iloc[0].tolist() == ["1", "A\x85cat\u2028slept."]
    assert read_lines(tmp_path / "x.stims").frame["sentence"].tolist() == ["A *b*\u2028c.", "D *e*\x85f."]


def test_messages_about_a_sheet_name_the_others(tmp_path):
    book = openpyxl.Workbook()
    book.active.title = "Notes"
    book.active.append(["made by", "us"])
    book.active.append(["in", "2020"])
    book.create_sheet("Data").append(["item"])
    book["Data"].append([1])
    book.save(tmp_path / "x.xlsx")
    with pytest.raises(
        StimulusError, match=r"sheet 'Notes' .--sheet chooses another: Data. lacks the column 'sentence'"
    ):
        read_stimuli(tmp_path / "x.xlsx")
    assert read_table(tmp_path / "x.xlsx", sheet="Data").frame["item"].tolist() == ["1"]
    with pytest.raises(StimulusError, match=r"no sheet 'data' .did you mean 'Data'"):
        read_table(tmp_path / "x.xlsx", sheet="data")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (float("nan"), ""), (pd.NA, ""), (3.0, "3"), (0.5, "0.5"), ("NA", "NA"), (7, "7")],
)
def test_cells_as_text(value, text):
    assert as_text(value) == text


IBEX = """#
# Results on Tuesday, 18 Jun 2024 13:45 GMT.
# USER AGENT: Mozilla/5.0 (X11; Linux x86_64)
# Columns below this comment are as follows:
# 1. Results reception time.
# 2. MD5 hash of participant's IP address.
# 3. Controller name.
# 4. Word.
1718718337,5f2a,DashedSentence,After%2C
"""


def test_results_of_ibex_are_refused_with_the_way_to_convert_them(tmp_path):
    (tmp_path / "results.csv").write_text(IBEX)
    with pytest.raises(
        StimulusError, match=r"results\.csv' is a result file of Ibex.*read\.pcibex\(\).*%2C to commas"
    ):
        read_table(tmp_path / "results.csv")


def test_a_comment_above_the_header_is_named(tmp_path):
    (tmp_path / "x.csv").write_text("# exported on Monday\nitem,condition,sentence\n1,a,Hi.\n")
    with pytest.raises(StimulusError, match="begins with the comment '# exported on Monday'; delete"):
        read_table(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text("#,item\n1,a\n")
    assert list(read_table(tmp_path / "x.csv").frame) == ["#", "item"]


def test_gzipped_files_are_read(tmp_path):
    text = "item;sentence\n1;Öl\n"
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(text.encode("utf-8")))
    table = read_table(tmp_path / "x.csv.gz")
    assert table.frame.to_numpy().tolist() == [["1", "Öl"]]
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(text.encode("utf-8"))[:-9])
    with pytest.raises(StimulusError, match="not a readable gzip file"):
        read_table(tmp_path / "x.csv.gz")


def test_workbooks_with_macros_are_read(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["item", "sentence"])
    book.active.append([1, "Hi."])
    book.save(tmp_path / "x.xlsm")
    assert read_table(tmp_path / "x.xlsm").frame.to_numpy().tolist() == [["1", "Hi."]]
