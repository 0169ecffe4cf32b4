"""Files, formulas and prompts as people get them wrong, and as nobody would write them."""

import csv
import io

import numpy as np
import openpyxl
import pandas as pd
from hypothesis import strategies as st

from clada_neuro.stimuli.columns import NAMES

ODD = [
    "", " ", "None", "NA", "nan", "*cat*", "*the cat*", "**", "a|b", "|", '"', "'", ";", ",", "\t", "\r", "\n", "\x00",
    "\ufeff", "\u200b", "\u2028", "\x85", "é", "e\u0301", "🧠", "猫坐在", "٣", "-1", "0", "1", "2", "1.0", "1e999", "9" * 30,
    "9" * 5000, "-0", "1,5", "=1+1", "@x", "<b>", "true", "The cat slept.", "cat", "slept",
]  # fmt: skip
CELLS = st.one_of(
    st.sampled_from(ODD), st.text(max_size=12), st.sampled_from(["The cat slept.", "A dog ran.", "1", "a"])
)
ENCODINGS = [None, "utf-8", "latin-1", "utf-16", "cp1252", "nonsense", "hex", "rot13", ""]


@st.composite
def tables(draw, names: tuple[str, ...], wanted: tuple[str, ...] = ()) -> bytes:
    """A text table with mostly known columns, in any separator, quoted or not, in any encoding."""
    header = list(wanted) if draw(st.integers(0, 9)) else []
    header += draw(st.lists(st.one_of(st.sampled_from(names), CELLS), max_size=4))
    rows = draw(st.lists(st.lists(CELLS, min_size=len(header), max_size=len(header)), max_size=6))
    if rows and draw(st.integers(0, 19)) == 0:
        rows[0] = rows[0][:-1]
    separator = draw(st.sampled_from([",", ";", "\t"]))
    if draw(st.booleans()):
        buffer = io.StringIO()
        csv.writer(
            buffer, delimiter=separator, lineterminator=draw(st.sampled_from(["\n", "\r\n"]))
        ).writerows([header, *rows])
        text = buffer.getvalue()
    else:
        text = "\n".join(separator.join(row) for row in [header, *rows])
    encoded = text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"])), "replace")
    return draw(damage(encoded)) if draw(st.integers(0, 9)) == 0 else encoded


@st.composite
def damage(draw, content: bytes) -> bytes:
    """Cut a file off, or put other bytes into it.

    Places are drawn as fractions: a workbook holds the time it was saved, and with that its length varies.
    """
    if not content:
        return content
    places = st.integers(0, 9_999).map(lambda place: place * len(content) // 10_000)
    if draw(st.booleans()):
        return content[: draw(places)]
    found = bytearray(content)
    for _ in range(draw(st.integers(1, 8))):
        found[draw(places)] = draw(st.integers(0, 255))
    return bytes(found)


@st.composite
def workbooks(draw) -> bytes:
    """An .xlsx file, whole or damaged."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["item", "condition", "sentence", "critical_word"])
    values = st.one_of(
        st.sampled_from(["1", "a", "The cat slept.", "cat", "", "=1+1"]),
        st.none(),
        st.integers(),
        st.floats(),
        st.booleans(),
    )
    for _ in range(draw(st.integers(0, 3))):
        sheet.append(draw(st.lists(values.map(_storable), min_size=4, max_size=5)))
    buffer = io.BytesIO()
    book.save(buffer)
    return draw(damage(buffer.getvalue())) if draw(st.booleans()) else buffer.getvalue()


def _storable(value):
    return None if isinstance(value, float) and not np.isfinite(value) else value


STIMULUS_FILES = st.one_of(
    st.tuples(
        st.sampled_from([".csv", ".tsv", ".txt", ""]), tables(NAMES, ("item", "condition", "sentence"))
    ),
    st.tuples(
        st.sampled_from([".csv", ".txt"]), tables(NAMES, ("item", "condition", "sentence", "critical_word"))
    ),
    st.tuples(st.just(".csv"), tables(NAMES, ("item", "condition", "word", "word_index", "is_critical"))),
    st.tuples(st.just(".stims"), st.lists(CELLS, max_size=5).map(lambda lines: "\n".join(lines).encode())),
    st.tuples(st.just(".xlsx"), workbooks()),
    st.tuples(st.sampled_from([".csv", ".xlsx", ".xls", ".stims"]), st.binary(max_size=60)),
)
READING = st.fixed_dictionaries(
    {},
    optional={
        "index_base": st.sampled_from([None, 0, 1]),
        "encoding": st.sampled_from(ENCODINGS),
        "columns": st.dictionaries(
            st.sampled_from([*NAMES, "itme"]), st.sampled_from([*NAMES, "x"]), max_size=2
        ),
    },
)

TRIAL_COLUMNS = (
    "subject",
    "item",
    "condition",
    "stimulus_id",
    "word_index",
    "n400_uv",
    "word",
    "is_critical",
)


@st.composite
def trial_frames(draw) -> pd.DataFrame:
    """Trials whose keys mostly fit the stimuli, with stray values."""
    rows = draw(st.integers(0, 8))

    def column(likely, dtype=None):
        value = st.one_of(
            st.sampled_from(likely), st.sampled_from(likely), st.sampled_from([None, "x", 7, -1.5])
        )
        return draw(st.lists(value, min_size=rows, max_size=rows))

    found = {
        "subject": column(["s1", "s2"]),
        "n400_uv": draw(st.lists(st.floats(), min_size=rows, max_size=rows)),
    }
    keys = draw(st.sampled_from([("item", "condition"), ("stimulus_id",), ("stimulus_id", "word_index"), ()]))
    likely = {
        "item": ["1", 1, 1.0, "2"],
        "condition": ["a", "b"],
        "stimulus_id": ["1-a", "2-b"],
        "word_index": [0, 1, "1"],
    }
    return pd.DataFrame(found | {key: column(likely[key]) for key in keys}, dtype=object)


ATOMS = st.sampled_from(
    [
        "y",
        "x",
        "z",
        "f",
        "subject",
        "item",
        "gone",
        "0",
        "1",
        "2",
        "-1",
        "y2",
        "`x`",
        "`a b`",
        "'f'",
        "1e3",
        ".",
        "x.y",
    ]
)
CALLS = st.sampled_from(
    [
        "log",
        "exp",
        "scale",
        "center",
        "C",
        "factor",
        "poly",
        "I",
        "abs",
        "np.exp",
        "np.load",
        "open",
        "eval",
        "__import__",
    ]
)
OPERATORS = st.sampled_from(
    ["+", "-", "*", ":", "/", "^", "**", "|", "||", "~", "%in%", "==", "and", ",", " "]
)
TERMS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("{} {} {}".format, inner, OPERATORS, inner),
        st.builds("({})".format, inner),
        st.builds("{}({})".format, CALLS, inner),
        st.builds("(1 + {} | {})".format, inner, inner),
        st.builds("{} + (1 | subject)".format, inner),
        st.builds("-{}".format, inner),
    ),
    max_leaves=6,
)
FORMULAS = st.one_of(
    st.builds("y ~ {} + (1 | subject)".format, TERMS),
    st.builds("{} ~ {} + (1 | item)".format, TERMS, TERMS),
    TERMS,
    st.text(alphabet="yxz01()|~+-*:/^`'\"\\ .,[]{}=<>@#\n", max_size=20),
    st.text(max_size=15),
)
CONDITIONS = st.one_of(
    st.builds("{} {} {}".format, TERMS, st.sampled_from(["==", ">", "<", "!=", "in", "&", "|", "="]), TERMS),
    st.sampled_from(
        ["@pd.io.common.os.getcwd()", "item.__class__", "x > 1; y", "import os", "x.isna()", "[", "`"]
    ),
    st.text(max_size=12),
)
PROMPTS = st.one_of(
    st.text(max_size=40),
    st.text(alphabet=st.characters(), max_size=10),
    st.lists(st.sampled_from(ODD), max_size=6).map(" ".join),
    st.text(alphabet=st.characters(categories=["Cs"]), min_size=1, max_size=3),
    st.sampled_from(["<|endoftext|>", "<unk>", "a" * 3000, "\udcff"]),
)
