"""The posterior of a regression stands beside its estimates, in folders that hold one."""

import json
import shutil

import numpy as np
import pytest

from clada_neuro.reporting.registry import sections
from clada_neuro.reporting.results import read_results

DRAWN = {"sd": 0.21, "ci_low": -1.3, "ci_high": -0.48, "rhat": 1.002, "ess": 819.0, "mcse": 0.01}


@pytest.fixture
def folder(full_folder, tmp_path):
    shutil.copytree(full_folder, tmp_path, dirs_exist_ok=True)
    entries = json.loads((tmp_path / "fits.json").read_text())
    terms = list(entries[0]["coefficients"])
    entries[0]["bayes"] = {
        "priors": {
            "unit": "µV", "center": [0.0, 10.0], "effect": 5.0, "residual": 20.0,
            "coefficients": dict.fromkeys(terms[1:], 2.5),
            "spreads": [{"group": "subject", "term": "(Intercept)", "sd": 5.0}],
        },
        "coefficients": [{"term": term, "mean": -0.892, **DRAWN} for term in terms],
        "random": [{"group": "subject", "term": "(Intercept)", "mean": 1.4, **DRAWN, "rhat": 1.2}],
        "bayes_factors": [
            {"term": terms[1], "log_bf10": float(np.log(35.2)), "mcse": 0.01},
            {"term": terms[2], "log_bf10": float(np.log(1 / 5.27)), "mcse": 0.01},
        ],
        "loo": {"elpd": -648.61, "se": 15.36, "p_loo": 9.1, "n_bad": 1},
        "n_draws": 2000, "divergences": 0, "converged": False,
    }  # fmt: skip
    (tmp_path / "fits.json").write_text(json.dumps(entries))
    return tmp_path


def test_priors_factors_and_convergence_are_told(folder):
    section = {part.id: part for part in sections(read_results(folder))}["posterior"]
    *texts, table = section.leaves
    said = " ".join(text.text for text in texts)
    assert "normal(0.00, 10.00) µV; an effect" in said
    assert "2,000 draws: R-hat at most 1.200, effective draws at least 819, 0 divergences. Draw more" in said
    assert "elpd −648.61 (SE 15.36), −2 elpd 1,297.22; 1 row with" in said
    assert table.shown["BF10"].tolist()[:3] == ["", "35.20", "1/5.27"]
    assert table.shown["posterior mean"][1] == "−0.89"
    assert table.shown["b"][1] == "−0.91"


def test_a_run_without_posterior_has_no_section(full_folder):
    assert "posterior" not in {part.id for part in sections(read_results(full_folder))}
