"""A run's departures from its analysis file are named, and only those."""

from pathlib import Path

import pandas as pd
import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.departures import departures, exclude
from clada_neuro.stats.specification import Analysis, read_analysis

TEXT = """
title = "Nouns"
language = "nl"
window_ms = [200, 500]
exclusions = ["item == 29"]
language_models = ["smollm2", "gpt2"]

[[model]]
name = "surprisal"
formula = "n400 ~ surprisal + (1|subject)"
directions = { surprisal = "negative" }

[synergy]
response = "n400"
predictors = ["surprisal", "sparsity"]
random = "(1|subject)"
bootstrap = 200
"""


@pytest.fixture
def analysis(tmp_path: Path) -> Analysis:
    path = tmp_path / "analysis.toml"
    path.write_text(TEXT)
    return read_analysis(path)


def _done(**changes) -> dict:
    done = {
        "entries": [{"name": "surprisal", "formula": "n400 ~ surprisal + (1 | subject)", "reml": True}],
        "synergy": {"predictors": ["surprisal", "sparsity"], "intervals": {"parametric": {"n": 200}}},
        "window_ms": (200, 500),
        "exclusions": ["item == 29"],
        "language_models": ["smollm2", "gpt2"],
        "language": "nl",
    }
    return {**done, **changes}


def _departures(analysis: Analysis, **changes) -> list[str]:
    done = _done(**changes)
    return departures(analysis, done.pop("entries"), **done)


def test_nothing_departs(analysis: Analysis) -> None:
    assert _departures(analysis) == []


@pytest.mark.parametrize(
    "changes, line",
    [
        ({"entries": []}, "model 'surprisal' was specified but not fitted"),
        (
            {"entries": [{"name": "surprisal", "formula": "n400 ~ surprisal + (1|item)", "reml": True}]},
            "formula 'n400 ~ surprisal + (1|item)' fitted",
        ),
        (
            {"entries": [{"name": "surprisal", "formula": "n400 ~ surprisal + (1|subject)", "reml": False}]},
            "ML used, REML specified",
        ),
        ({"synergy": None}, "synergy was specified but not estimated"),
        (
            {"synergy": {"predictors": ["surprisal", "sparsity"], "intervals": None}},
            "0 bootstrap replicates drawn, 200",
        ),
        ({"window_ms": (300, 500)}, "window 300-500 ms used, 200-500 ms specified"),
        ({"exclusions": []}, "exclusion 'item == 29' was specified but not used"),
        ({"language": "en"}, "word frequencies of language 'en' used, of 'nl' specified"),
        ({"language_models": ["smollm2", "gpt2", "opt"]}, "language model 'opt' was used but not specified"),
    ],
)
def test_each_departure_is_named(analysis: Analysis, changes: dict, line: str) -> None:
    found = _departures(analysis, **changes)
    assert len(found) == 1
    assert line in found[0]


def test_an_extra_model_is_exploratory(analysis: Analysis) -> None:
    extra = {"name": "more", "formula": "n400 ~ 1 + (1|subject)", "reml": True}
    found = _departures(analysis, entries=[*_done()["entries"], extra])
    assert found == ["model 'more' was fitted but not specified: exploratory"]


def test_exclusions_are_counted() -> None:
    trials = pd.DataFrame({"item": [29, 29, 30], "lab": ["a", "b", "b"]})
    kept, counts = exclude(trials, ["item == 29", "lab == 'b'"])
    assert counts == {"item == 29": 2, "lab == 'b'": 2}
    assert len(kept) == 0
    with pytest.raises(FitError, match="'itme == 29' cannot be evaluated"):
        exclude(trials, ["itme == 29"])
    with pytest.raises(FitError, match="not a condition"):
        exclude(trials, ["item + 1"])


@pytest.mark.parametrize(
    "line, reason",
    [
        ("window_ms = [200]", "start, end"),
        ('exclusions = "item == 29"', "a list expected"),
        ("typo = 1", "unknown entry 'typo'"),
    ],
)
def test_wrong_entries(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "analysis.toml"
    path.write_text(f'{line}\ntitle = "x"\n[[model]]\nname = "m"\nformula = "y ~ x"\n')
    with pytest.raises(FitError, match=reason):
        read_analysis(path)
