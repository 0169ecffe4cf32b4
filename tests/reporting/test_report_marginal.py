import pandas as pd
import pytest
from run_folder import record

from clada_neuro.records.manifest import Manifest
from clada_neuro.reporting import marginal, page_tables, prose
from clada_neuro.reporting.results import Results
from clada_neuro.reporting.text import NBSP

BASE = {"se": 0.2, "df": 20.0, "ci_low": -1.2, "ci_high": -0.4}


def _row(estimate: float, tested: bool = False, **cell: str) -> dict:
    return {"cell": cell, **BASE, "estimate": estimate, **({"t": -4.0, "p": 0.01} if tested else {})}


@pytest.fixture
def fit() -> dict:
    pairs = [("correct - semantic", 1.2), ("correct - syntactic", -0.3), ("semantic - syntactic", -1.5)]
    return {
        "name": "N400", "formula": "n400_uv ~ condition * x + (1|subject)", "reml": True, "engine": "mixedlm",
        "coefficients": {"(Intercept)": {**BASE, "estimate": 1.0, "t": 5.0, "p": 0.0001}},
        "terms": [{"term": "condition", "F": 4.5, "df1": 2, "df2": 30.25, "p": 0.02}],
        "codes": {"condition": {"levels": ["correct", "semantic", "syntactic"], "codes": [[0, 0], [1, 0], [0, 1]]}},
        "marginal": [
            {
                "factors": ["condition"], "by": [], "slope": "", "unit": "µV", "adjust": "holm",
                "estimates": [_row(-1.1, condition=name) for name in ("correct", "semantic", "syntactic")],
                "contrasts": [_row(value, True, contrast=name) for name, value in pairs],
            },
            {
                "factors": ["condition"], "by": ["group"], "slope": "surprisal_bits", "unit": "µV per SD", "adjust": "holm",
                "estimates": [_row(-0.4, condition=c, group=g) for g in ("young", "old") for c in ("correct", "semantic")],
                "contrasts": [_row(0.1, True, contrast="correct - semantic", group=g) for g in ("young", "old")],
            },
        ],
    }  # fmt: skip


def test_means_and_contrasts_are_told_with_their_units(fit: dict) -> None:
    told = [line.replace(NBSP, " ") for line in marginal.sentences(record(fit))]
    assert told[0].startswith(
        "Estimated marginal means of N400 amplitudes by condition: correct −1.10 µV [−1.20, −0.40]; "
    )
    assert told[1].startswith(
        "Contrasts (p by Holm, 95 % intervals by Bonferroni): correct − semantic, b = 1.20 µV, SE = 0.20, "
        "95% CI [−1.20, −0.40], t(20.0) = −4.00, p = .010; correct − syntactic, b = −0.30 µV"
    )
    assert told[2].startswith(
        "Estimated slopes of surprisal on N400 amplitudes by condition and group: correct, young −0.40 µV per SD"
    )
    assert "correct − semantic (old), b = 0.10 µV per SD" in told[3]


def test_they_stand_in_the_findings(fit: dict) -> None:
    results = Results(None, Manifest(), {}, [record(fit)], [], [], {}, {}, None, {})  # type: ignore[arg-type]
    ((name, sentences),) = prose.findings(results)
    assert name == "N400"
    assert sum("Estimated marginal means" in line for line in sentences) == 1


def test_a_single_difference_is_left_to_its_coefficient_and_many_to_the_table(fit: dict) -> None:
    fit["marginal"] = [fit["marginal"][0]]
    fit["marginal"][0]["contrasts"] = fit["marginal"][0]["contrasts"][:1]
    assert len(list(marginal.sentences(record(fit)))) == 1
    fit["marginal"][0]["contrasts"] *= 10
    assert "10 contrasts of these stand in the table" in list(marginal.sentences(record(fit)))[1]


def test_tables_and_figures(fit: dict) -> None:
    means, contrasts = marginal.tables(record(fit))
    assert len(means.frame) == 7
    assert list(means.shown) == ["of", "cell", "unit", "estimate", "SE", "95 % CI", "df"]
    assert contrasts.shown["cell"].tolist()[-1] == "correct − semantic (old)"
    assert set(contrasts.shown["of"]) == {"mean N400 amplitude", "slope of surprisal"}
    drawn = marginal.figures(record(fit))
    assert [one.name for one in drawn] == [
        "marginal_n400_condition",
        "marginal_n400_surprisal-bits_condition_group",
    ] or len(drawn) == 2
    assert "semantic, old −0.40 µV per SD" in drawn[1].alt
    assert page_tables.terms(record(fit)).shown["df2"].tolist() == ["30.2"]
    assert page_tables.codes(record(fit)).shown["code 2"].tolist() == ["0", "0", "1"]
    assert isinstance(page_tables.codes(record({"name": "x"})), type(None))
    assert page_tables.terms(record({**fit, "terms": []})) is None
    assert marginal.tables(record({"name": "x"})) == []
    assert pd.notna(means.frame["estimate"]).all()
