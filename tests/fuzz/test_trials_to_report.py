"""Tables of trials as laboratories send them, driven through `run` to the report: one clear line, or a whole report."""

import csv
import io
import tempfile
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tiny_language import tiny_language

from clada_neuro import artifacts
from clada_neuro.errors import CladaNeuroError
from clada_neuro.study.run import run

CASES = (8, 400)  # in the fast and in the slow run
RANDOM = "(1|subject) + (1|item)"
ANALYSES = [
    f"n400_uv ~ surprisal_bits + {RANDOM}",
    f"n400_uv ~ surprisal_bits + norm + {RANDOM}",
    f"n400_uv ~ condition * norm + {RANDOM}",
    f"log(rt_ms) ~ norm + group + {RANDOM}",
    f"rating ~ surprisal_bits + C(group) + {RANDOM}",
]
# What stands in the cells of real tables where a number or a label was expected.
STRAYS = [
    "", " ", ".", "NA", "n/a", "NaN", "#N/A", "#DIV/0!", "None", "-", "?", ".2", "0,1", "1.234,5", "1,234", "1e999", "−3",
    "-99", "0", "007", "TRUE", "inf", "bad", "a|b", "<b>", '"', "é", "\u2028", "x" * 40, "1", "2", "s01", "expected ",
]  # fmt: skip
COLUMNS = (
    "subject",
    "item",
    "condition",
    "n400_uv",
    "rt_ms",
    "rating",
    "norm",
    "group",
    "word",
    "stimulus_id",
)


@cache
def desk() -> Path:
    """A stimulus file and a tiny model on disk."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz"))
    texts = [
        {
            "item": item,
            "condition": condition,
            "sentence": f"The {noun} saw a {word} again.",
            "critical_word": word,
        }
        for item, noun in enumerate(["cat", "sailor", "child", "dog", "woman", "man"], start=1)
        for condition, word in (("expected", f"horse{item}"), ("odd", f"café{item}"))
    ]
    pd.DataFrame(texts).to_csv(folder / "stimuli.csv", index=False)
    model = tiny_language()
    model.model.save_pretrained(folder / "model")
    model.tokenizer.save_pretrained(folder / "model")
    return folder


@cache
def good() -> pd.DataFrame:
    """Eight people who saw every text, as text."""
    rng = np.random.default_rng(0)
    texts = pd.read_csv(desk() / "stimuli.csv")[["item", "condition"]]
    rows = pd.DataFrame({"subject": [f"s{k}" for k in range(8)]}).merge(texts, how="cross")
    person = rng.normal(size=8).repeat(len(texts))
    rows["n400_uv"] = (person + rng.normal(size=len(rows))).round(3)
    rows["rt_ms"] = rng.integers(200, 900, len(rows))
    rows["rating"] = rng.integers(1, 8, len(rows))
    rows["norm"] = rng.normal(size=len(rows)).round(2)
    rows["group"] = np.where(rows["subject"] < "s4", "a", "b")
    return rows.astype(str)


@st.composite
def tables(draw) -> tuple[str, int]:
    """A good table with a few things wrong with it, in any separator; and its number of rows."""
    rows = good()
    for _ in range(draw(st.integers(1, 3))):
        rows = draw(DAMAGES)(rows)
    buffer = io.StringIO()
    mark = draw(st.sampled_from([",", ",", ";", "\t"]))
    csv.writer(buffer, delimiter=mark, lineterminator="\n").writerows([list(rows), *rows.to_numpy().tolist()])
    return buffer.getvalue(), len(rows)


def _cells(column, value, places):
    def damage(rows):
        if column not in rows or rows.empty:
            return rows
        changed = rows[column].to_numpy(object).copy()
        changed[[place % len(rows) for place in places]] = value
        return rows.assign(**{column: changed})

    return damage


def _whole(column, value):
    return lambda rows: rows.assign(**{column: value})


PLACES = st.lists(st.integers(0, 95), min_size=1, max_size=12)
DAMAGES = st.one_of(
    st.builds(_cells, st.sampled_from(COLUMNS), st.sampled_from(STRAYS), PLACES),
    st.builds(_whole, st.sampled_from(COLUMNS), st.sampled_from(STRAYS)),
    st.sampled_from(
        [
            lambda rows: rows.assign(item="0" + rows["item"]),
            lambda rows: rows.assign(condition=rows["condition"].str.upper() + " "),
            lambda rows: rows.assign(norm=rows["norm"].str.replace(".", ",")),
            lambda rows: rows.assign(n400_uv=(rows["n400_uv"].str.strip() + "e-6")),
            lambda rows: rows.assign(subject=[f"s{k}" for k in range(len(rows))]),
            lambda rows: rows.assign(norm="1", rating="3"),
            lambda rows: rows.head(3),
            lambda rows: rows[rows["condition"].str.strip() == "odd"],
            lambda rows: pd.concat([rows, rows.head(20)]),
            lambda rows: rows.drop(columns="norm", errors="ignore"),
            lambda rows: rows.rename(columns={"n400_uv": "N400_uV", "subject": "Subject"}),
            lambda rows: rows.assign(word_index="1"),
            lambda rows: rows.assign(word="The", word_index="0"),
            lambda rows: rows.iloc[::-1],
        ]
    ),
)


@given(table=tables(), formula=st.sampled_from(ANALYSES))
def check(table, formula):
    text, n_rows = table
    (desk() / "trials.csv").write_text(text, encoding="utf-8", newline="")
    (desk() / "analysis.toml").write_text(f"title = 'x'\n[[model]]\nname = 'm'\nformula = '{formula}'\n")
    out = desk() / "out"
    options = {
        "trials": desk() / "trials.csv",
        "analysis": desk() / "analysis.toml",
        "model": str(desk() / "model"),
    }
    refusal = refused(desk() / "stimuli.csv", **options, out=out)
    if refusal:
        assert len(refusal.splitlines()) == 1, refusal
        return
    assert (out / "report.html").is_file()
    trials, (entry,) = artifacts.read_table(out / "trials.parquet"), artifacts.read_json(out / "fits.json")
    unmatched = out / "unmatched.parquet"
    lost = len(artifacts.read_table(unmatched)) if unmatched.exists() else 0
    assert len(trials) + lost == n_rows
    assert entry["n_obs"] + entry["n_dropped"] == len(trials)


def refused(*arguments, **options) -> str:
    try:
        run(*arguments, **options)
    except CladaNeuroError as refusal:
        return str(refusal)
    return ""


def fuzz(cases: int) -> None:
    options = settings(
        max_examples=cases, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options(check)()


def test_a_table_of_trials_gives_a_report_or_one_line():
    fuzz(CASES[0])


@pytest.mark.slow
def test_hundreds_of_tables_of_trials_give_a_report_or_one_line():
    fuzz(CASES[1])
