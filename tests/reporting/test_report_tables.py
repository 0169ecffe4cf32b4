import json

import pandas as pd
import pytest
from run_folder import record

from clada_neuro.records.manifest import Truth
from clada_neuro.reporting import page_tables
from clada_neuro.reporting.results import read_results


@pytest.fixture(scope="module")
def results(full_folder):
    return read_results(full_folder)


def test_conditions_count_texts_items_and_trials(results):
    frame = page_tables.conditions(results).frame.set_index("condition")
    assert frame.loc["expected"].to_dict() == {
        "texts": 12, "items": 12, "trials": 120, "unique texts": 12, "subjects": 10,
    }  # fmt: skip


@pytest.fixture
def fit(full_folder) -> dict:
    return json.loads((full_folder / "fits.json").read_text())[0]


def test_summary_names_the_state_of_each_fit(fit):
    changes = ({}, {"singular": True}, {"converged": False, "singular": True})
    fits = [record({**fit, **changed}) for changed in changes]
    assert page_tables.summary(fits).frame["state"].tolist() == ["converged", "singular", "not converged"]


def test_corrected_p_stands_beside_focal_terms_only(fit):
    shown = page_tables.coefficients(record({**fit, "p_bh": {"surprisal_bits": 0.002}})).shown
    assert shown["p (BH)"].tolist() == ["", ".002", "", ""]


def test_random_effects_show_standard_deviations_and_correlations(fit):
    slope = [
        {"group": "subject", "term": "surprisal_bits", "term2": "", "vcov": 0.09, "sdcor": 0.3},
        {"group": "subject", "term": "surprisal_bits", "term2": "(Intercept)", "vcov": 0.1, "sdcor": 0.22},
    ]
    fit["random"] = [fit["random"][0], *slope]
    frame = page_tables.random_effects(record(fit)).frame
    assert frame["SD"].dropna().tolist() == [1.5, 0.3, 7.0]
    assert frame["correlation"].dropna().tolist() == [0.22]
    assert frame["levels"].tolist()[:3] == [10, 10, 10]


def test_stated_effects_stand_beside_estimates(results):
    frame = page_tables.truth(results).frame
    assert frame.loc[0, ["value_uv", "estimate", "ci_low", "ci_high"]].tolist() == pytest.approx(
        [-0.9, -0.914, -1.314, -0.514]
    )


def test_an_estimate_and_its_interval_have_the_same_decimals_and_times_are_in_ms():
    frame = pd.DataFrame(
        {"estimate": [-0.21, 4.0], "ci_low": [-0.42, 1.5], "ci_high": [0.0017, 6.5], "tmin_s": [0.3, 0.452]}
    )
    shown = page_tables.table("", "", frame).shown
    assert shown.loc[0].tolist() == ["−0.21", "−0.42", "0.00", "300"]
    assert shown.loc[1].tolist() == ["4.00", "1.50", "6.50", "452"]
    assert page_tables.table("", "", frame).header == ["estimate", "95 % low", "95 % high", "from (ms)"]


def test_by_hand_stated_random_effects_are_found(results):
    fits = results.fits
    found = [
        page_tables._recovered(fits, Truth(component="n400_uv", kind=kind, term="intercept", value_uv=0.0))[
            "estimate"
        ]
        for kind in ("fixed", "subject_sd", "stimulus_sd", "residual_sd", "list_sd")
    ]
    assert found == [-1.02, 1.5, 0.5, 7.0, None]


def test_file_names_are_plain():
    assert page_tables.slug("N400: surprisal × sparsity/../x") == "n400_surprisal_sparsity_x"
