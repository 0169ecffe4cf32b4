"""Generalised models in a study's statistics: entries of fits.json, their intervals and checks, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clada_neuro as cn
from clada_neuro.errors import FitError
from clada_neuro.stats.analysis_file import read_analysis
from clada_neuro.stats.generalized.fit_counts import GeneralizedFit
from clada_neuro.stats.names import check_fits
from clada_neuro.stats.specification import ModelSpecification
from clada_neuro.stats.stage import fit_models

REFERENCE = Path(__file__).parents[1] / "reference"
DESIGNS = json.loads((REFERENCE / "marginal_glmm_reference.json").read_text())["designs"]
GROUPS = "(1 | subject) + (1 | item)"


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "counts_unbalanced.csv")


@pytest.mark.parametrize(
    "design", [one for one in DESIGNS if "profile" in one], ids=lambda one: str(one["formula"])
)
def test_profile_intervals_are_lme4_s(design, counts):
    """Ends within a hundredth of a standard error of confint(method = "profile"), which interpolates its profile."""
    with np.errstate(all="raise", under="ignore"):
        fit = cn.fit(counts, design["formula"], family=design["family"])
    assert isinstance(fit, GeneralizedFit)
    terms = [name for name in fit.design.names if name.startswith(("surprisal", "condition"))]
    at = [fit.design.names.index(term) for term in terms]
    found, se = fit.confint(terms), fit.coefficients["se"].to_numpy()[at]
    for side in ("low", "high"):
        expected = np.array(design["profile"][side])[at]
        assert np.abs(found[f"ci_{side}"] - expected).max() < 0.01 * se.min() + 1e-9


def test_a_profile_without_an_end_is_infinite(counts):
    separated = counts.assign(accurate=counts["accurate"].where(counts["condition"] != "low", 1))
    with pytest.warns(UserWarning, match="separation"):
        fit = cn.fit(separated, f"accurate ~ condition + {GROUPS}", family="binomial")
    (row,) = fit.confint(["condition[T.low]"]).to_dict("records")
    assert row["ci_high"] == np.inf
    assert 0 < row["ci_low"] < 10


def test_entries_of_counts_hold_ratios_profiles_means_and_checks(counts, tmp_path):
    models = (
        ModelSpecification(
            "accuracy", f"accurate ~ surprisal + condition + {GROUPS}", family="binomial",
            directions={"surprisal": "negative"}, contrasts={"condition": "sum"},
        ),
        ModelSpecification(
            "regressions", f"regressions ~ surprisal + condition + {GROUPS}", family="poisson",
            directions={"surprisal": "negative"}, adjust_with="accuracy and regressions",
        ),
    )  # fmt: skip
    lines: list[str] = []
    accuracy, regressions = fit_models(counts, models, tmp_path / "fits.json", "rows", lines.append)
    row, profile = accuracy["coefficients"]["surprisal"], accuracy["profile"]["surprisal"]
    assert profile["odds_ratio_low"] == pytest.approx(np.exp(profile["ci_low"]))
    assert profile["ci_low"] < row["estimate"] < profile["ci_high"]
    assert (accuracy["response_family"], accuracy["link"]) == ("binomial", "logit")
    assert set(accuracy["part_r2"]) == {"terms", "others", "r2"}
    (means,) = accuracy["marginal"]
    assert all(0 < one["estimate"] < 1 for one in means["estimates"])
    assert means["contrasts"][0]["cell"]["contrast"] == "filler / high"
    assert accuracy["response_scale"]["estimated"] == "probability"
    assert accuracy["effects"]["surprisal"][0]["ci_high"][0] < 1
    assert regressions["family"].endswith("of accuracy and regressions")
    assert accuracy["family"].endswith("of accurate")
    assert "rate_ratio" in regressions["coefficients"]["surprisal"]
    assert "z = " in lines[0]
    assert "odds ratio = " in lines[0]
    assert json.loads((tmp_path / "fits.json").read_text())[0]["detectable"]["surprisal"]["power"] == 0.8
    assert "glmer(" in accuracy["lme4_script"]


def test_slopes_that_counts_cannot_carry_are_taken_out(counts, tmp_path):
    flat = counts.assign(x=np.random.default_rng(1).normal(size=len(counts)))
    model = ModelSpecification("m", "accurate ~ x + (1 + x | subject) + (1 | item)", family="binomial")
    (entry,) = fit_models(flat, (model,), tmp_path / "fits.json", "rows", influence=True)
    assert entry["singular"] is False or entry["ladder"][-1]["removed"] == ""
    assert any(
        line.startswith(
            "influence of single levels left out: fits without single levels are offered for linear"
        )
        for line in entry["warnings"]
    )


def test_log_normal_responses_are_told_in_their_own_unit(counts, tmp_path):
    rng = np.random.default_rng(3)
    times = counts.assign(rt_ms=np.exp(6 + 0.03 * counts["surprisal"] + rng.normal(0, 0.4, len(counts))))
    model = ModelSpecification("times", f"log(rt_ms) ~ surprisal + condition + {GROUPS}")
    (entry,) = fit_models(times, (model,), tmp_path / "fits.json", "rows")
    scale, (means,) = entry["response_scale"], entry["marginal"]
    assert (scale["column"], scale["estimated"], scale["unit"]) == ("rt_ms", "median", "ms")
    assert 400 < means["estimates"][0]["estimate"] < 700
    assert means["estimates"][0]["mean"] == pytest.approx(
        scale["mean_over_median"] * means["estimates"][0]["estimate"]
    )
    assert means["unit"] == "ms"
    assert 350 < entry["effects"]["surprisal"][0]["estimate"][0] < 700


@pytest.mark.parametrize("table", ["[[model]]", "[model]"])
def test_an_analysis_file_says_the_family(table, tmp_path):
    path = tmp_path / "analysis.toml"
    path.write_text(
        f'title = "Accuracy"\n{table}\nname = "accuracy"\nformula = "correct ~ surprisal_bits + (1|subject)"\n'
        'family = "binomial"\nadjust_with = "behaviour"\n'
    )
    (model,) = read_analysis(path).models
    assert (model.family, model.adjust_with) == ("binomial", "behaviour")
    path.write_text(path.read_text().replace('"binomial"', '"N400 tests"'))
    with pytest.raises(
        FitError,
        match=r"analysis.toml, \[\[model\]\] 1: family = 'N400 tests' given, .* adjust_with = 'N400 tests'",
    ):
        read_analysis(path)


def test_a_response_that_is_no_count_is_told_before_any_fit(counts):
    model = ModelSpecification("m", f"accurate ~ surprisal + {GROUPS}", family="binomial")
    with pytest.raises(FitError, match=r"'accurate' is 2 in row \d+; a binomial response is 0 or 1"):
        check_fits(counts.assign(accurate=counts["accurate"] * 2), [model])


def test_cells_levels_and_contrasts_that_compare_nothing_are_named(counts):
    crossed = f"accurate ~ condition * group + {GROUPS}"
    empty = counts[(counts["condition"] != "low") | (counts["group"] != "L2")]
    with pytest.raises(
        FitError, match="no row has condition 'low' and group 'L2', which 'condition:group' needs"
    ):
        cn.fit(empty, crossed, family="binomial")
    with pytest.raises(FitError, match=r"'condition' has one level in the rows used \('low'\); leave it out"):
        cn.fit(counts[counts["condition"] == "low"], f"accurate ~ condition + {GROUPS}", family="binomial")
    fit = cn.fit(counts, f"accurate ~ condition + {GROUPS}", family="binomial")
    with pytest.raises(FitError, match="contrast 'odd' of 'condition': its weights sum to 1, 0 expected"):
        fit.emmeans("condition").contrasts({"odd": [1, 1, -1]})
