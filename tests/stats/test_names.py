"""A name that would act on nothing is an error that shows what was meant."""

from pathlib import Path

import pandas as pd
import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.analysis_file import read_analysis
from clada_neuro.stats.mixed import estimate
from clada_neuro.stats.model import specify
from clada_neuro.stats.names import check_fits, check_synergy, near_misses
from clada_neuro.stats.sensitivity import influence
from clada_neuro.stats.specification import ModelSpecification
from clada_neuro.stats.stage import fit_models

FORMULA = "n400 ~ surprisal * condition + (1 | subject)"
MODEL = "[[model]]\nname = 'm'\nformula = 'n400 ~ log(surprisal) + condition + (1 | subject)'\n"


def _analysis(folder: Path, *models: str) -> Path:
    path = folder / "analysis.toml"
    path.write_text("title = 'x'\n" + "".join(models))
    return path


@pytest.mark.parametrize(
    "line, message",
    [
        ("directions = { suprisal = 'negative' }", r"direction of 'suprisal'.*did you mean 'surprisal'\?"),
        ("directions = { length = 'negative' }", r"direction of 'length'.*there are surprisal, condition"),
        ("directions = { subject = 'negative' }", "direction of 'subject'"),
        ("contrasts = { conditoin = 'sum' }", r"contrasts for 'conditoin'.*did you mean 'condition'\?"),
    ],
)
def test_misspelt_names_are_found_when_the_analysis_is_read(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(FitError, match=rf"analysis.toml: .*{message}"):
        read_analysis(_analysis(tmp_path, MODEL, line))


def test_terms_of_functions_levels_and_products_are_directions(tmp_path: Path) -> None:
    terms = ["log(surprisal)", "condition[T.low]", "surprisal:condition[T.low]", "(Intercept)"]
    directions = ", ".join(f"'{term}' = 'negative'" for term in terms)
    found = read_analysis(_analysis(tmp_path, MODEL, f"directions = {{ {directions} }}"))
    assert list(found.models[0].directions) == terms


def test_two_models_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(FitError, match="2 models are named 'm'"):
        read_analysis(_analysis(tmp_path, MODEL, MODEL))


@pytest.mark.parametrize(
    "given, message",
    [
        (
            {"directions": {"condition": "negative"}},
            r"direction of 'condition'.*there are condition\[T.low\]",
        ),
        ({"directions": {"condition[S.high]": "negative"}}, r"did you mean 'condition\[T.low\]'"),
        ({"weights": "lenght"}, "no column 'lenght'.*did you mean 'length'"),
    ],
)
def test_terms_are_checked_before_the_first_fit(paired: pd.DataFrame, tmp_path: Path, given, message) -> None:
    good, bad = ModelSpecification("a", FORMULA), ModelSpecification("b", FORMULA, **given)
    with pytest.raises(FitError, match=message):
        fit_models(paired, (good, bad), tmp_path / "fits.json", "rows")
    assert not (tmp_path / "fits.json").exists()


def test_the_terms_of_a_sum_coded_factor_are_its_own(paired: pd.DataFrame) -> None:
    model = ModelSpecification(
        "m", FORMULA, contrasts={"condition": "sum"}, directions={"condition[S.high]": "positive"}
    )
    check_fits(paired, [model])


def test_names_of_a_synergy(paired: pd.DataFrame) -> None:
    check_synergy(paired, "n400 ~ surprisal:sparsity + log(length) + (1 | subject)")
    for formula, name in ((FORMULA.replace("n400", "N400"), "n400"), ("n400 ~ lenght", "length")):
        with pytest.raises(FitError, match=f"did you mean '{name}'"):
            check_synergy(paired, formula)


def test_what_is_to_be_scaled_must_be_in_the_formula(paired: pd.DataFrame) -> None:
    with pytest.raises(FitError, match="'length' is to be z-scored but is not in"):
        specify(paired, FORMULA, standardize=["length"])
    fit = estimate(specify(paired, FORMULA))
    with pytest.raises(FitError, match=r"'surprisl' given.*did you mean 'surprisal'"):
        influence(fit, "subject", ["surprisl"])


def test_columns_that_are_a_response_but_for_case_and_unit() -> None:
    columns = ["N400_uV", "n400", "N400 (µV)", "n400_mean_amplitude", "n400_baseline_uv", "p600_uv", "n4000"]
    assert near_misses(columns, "n400_uv") == columns[:4]


def test_directions_of_the_human_analysis(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "data" / "analyses" / "human.toml").read_text()
    path = tmp_path / "human.toml"
    path.write_text(text.replace("{ surprisal_bits =", "{ surprisal_bit =", 1))
    with pytest.raises(
        FitError, match=r"\[\[ladder\]\] 1: .*'surprisal_bit' given.*did you mean 'surprisal_bits'"
    ):
        read_analysis(path)
