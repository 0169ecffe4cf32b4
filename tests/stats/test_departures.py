"""A run's departures from its analysis file are named, and only those."""

from dataclasses import replace
from pathlib import Path

import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.analysis_file import read_analysis
from clada_neuro.stats.departures import departures
from clada_neuro.stats.specification import Analysis, EpochsSpecification

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


@pytest.mark.parametrize(
    "line, reason",
    [
        ("window_ms = [200]", "start, end"),
        ('exclusions = "item == 29"', "a list of text expected"),
        ("typo = 1", "unknown entry 'typo'"),
        ("language_models = ['a', 3]", r"language_models = \['a', 3\] given, a list of text expected"),
        ("exclusions = [3]", r"exclusions = \[3\] given, a list of text expected"),
        ("synergy = 3", r"\[synergy\]: 3 given, a table expected"),
        ("epochs = []", r"\[epochs\]: \[\] given, a table expected"),
    ],
)
def test_wrong_entries(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "analysis.toml"
    path.write_text(f'{line}\ntitle = "x"\n[[model]]\nname = "m"\nformula = "y ~ x"\n')
    with pytest.raises(FitError, match=reason):
        read_analysis(path)


def test_models_are_tables(tmp_path: Path) -> None:
    path = tmp_path / "analysis.toml"
    path.write_text('title = "x"\nmodel = 3\n')
    with pytest.raises(FitError, match=r"model = 3 given, a table \[\[model\]\] for each model expected"):
        read_analysis(path)


@pytest.mark.parametrize(
    "entry, reason",
    [
        ("formula = 3", "formula = 3 given, text expected"),
        ("formula = ['y ~ x']", r"formula = \['y ~ x'\] given, text expected"),
        ("formula = 'y ~ x'\nreml = 'no'", "reml = 'no' given, true or false expected"),
        ("formula = 'y ~ x'\nstandardize = 1", "standardize = 1 given, true or false expected"),
        (
            "formula = 'y ~ x'\ndirections = 'negative'",
            "directions = 'negative' given, a table of text expected",
        ),
        ("formula = 'y ~ x'\ncontrasts = { x = 1 }", "contrasts 1 of 'x' are not offered; give treatment"),
        ("formula = 'y ~ x'\ncontrasts = 'sum'", "contrasts = 'sum' given, a table expected"),
        ("formula = 'y ~ x'\nweights = 2.5", "weights = 2.5 given, text expected"),
    ],
)
def test_every_entry_of_a_model_has_its_type(tmp_path: Path, entry: str, reason: str) -> None:
    path = tmp_path / "analysis.toml"
    path.write_text(f'title = "x"\n[[model]]\nname = "m"\n{entry}\n')
    with pytest.raises(FitError, match=rf"\[\[model\]\] 1: {reason}"):
        read_analysis(path)


@pytest.mark.parametrize(
    "entry, reason",
    [
        (
            "response = 'y'\npredictors = 'xy'\nrandom = '(1|s)'",
            "predictors = 'xy' given, a list of text expected",
        ),
        ("response = 'y'\npredictors = ['x']\nrandom = '(1|s)'", "1 predictors given, 2 expected"),
        ("response = 'y'\npredictors = ['x', 'z']\nrandom = 1", "random = 1 given, text expected"),
        (
            "response = 'y'\npredictors = ['x', 'z']\nrandom = '(1|s)'\nbootstrap = 'many'",
            "bootstrap = 'many' given, a whole number expected",
        ),
    ],
)
def test_every_entry_of_the_synergy_has_its_type(tmp_path: Path, entry: str, reason: str) -> None:
    path = tmp_path / "analysis.toml"
    path.write_text(f'title = "x"\n[[model]]\nname = "m"\nformula = "y ~ x"\n[synergy]\n{entry}\n')
    with pytest.raises(FitError, match=rf"\[synergy\]: {reason}"):
        read_analysis(path)


def test_a_window_that_nothing_confirms_and_an_unused_section_are_named(analysis: Analysis) -> None:
    assert _departures(analysis, window_ms=None) == [
        "window 200-500 ms specified, which nothing says of the amplitudes that were given"
    ]
    section = replace(analysis, epochs=EpochsSpecification({"n400": (200, 500)}))
    (line,) = _departures(section)
    assert line.startswith("[epochs] was specified, but amplitudes were there already")


def test_the_window_of_epochs_is_held_against_the_analysis(analysis: Analysis) -> None:
    used = EpochsSpecification({"n400": (200, 500)})
    assert _departures(analysis, window_ms=None, epochs=used) == []
    moved = EpochsSpecification({"n400": (300, 500)})
    assert _departures(analysis, window_ms=None, epochs=moved) == [
        "window 300-500 ms used, 200-500 ms specified"
    ]
