"""The R scripts of a report and of ``fit`` run as they are and give the numbers of fits.json."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from clada_neuro.artifacts import content_hash, write_json, write_table
from clada_neuro.cli.fit import command
from clada_neuro.reporting.build import report
from clada_neuro.stats.specification import ModelSpecification
from clada_neuro.stats.stage import fit_models

BOTH = "(1 | subject) + (1 | item)"
MODELS = (
    ModelSpecification("plain", f"n400_uv ~ surprisal_bits * condition + {BOTH}", contrasts={"condition": "sum"}),
    ModelSpecification("raw", "log(rt_ms) ~ np.log(zipf.frequency) + condition + (surprisal_bits || subject)", standardize=False),
    ModelSpecification("weighted", f"n400_uv ~ `word length` + relevel(condition, ref = '2') + {BOTH}", weights="n_trials", reml=False),
)  # fmt: skip


@pytest.fixture
def trials() -> pd.DataFrame:
    """Conditions coded 1, 2, 3 as labels, a column that only the user has, a missing value."""
    rng = np.random.default_rng(3)
    subject, item = np.divmod(np.arange(12 * 30), 30)
    bits, condition = rng.gamma(4, 2, 30)[item], rng.integers(1, 4, len(item))
    y = rng.normal(size=12)[subject] + rng.normal(size=30)[item] - 0.3 * bits + 0.8 * (condition == 2)
    y = y + rng.normal(0, 2, len(item))
    return pd.DataFrame(
        {
            "subject": [f"s{k:02}" for k in subject], "item": [f"{k:02}" for k in item], "n400_uv": y,
            "stimulus": [f"{k}:{c}" for k, c in zip(item, condition, strict=True)],
            "stimulus_id": item, "condition": condition.astype(str), "surprisal_bits": np.where(np.arange(len(y)) == 7, np.nan, bits),
            "rt_ms": np.exp(6 + 0.05 * y + rng.normal(0, 0.1, len(y))), "zipf.frequency": rng.uniform(2, 7, 30)[item],
            "word length": rng.integers(3, 9, 30)[item], "n_trials": rng.integers(5, 40, len(y)), "note": "=own words",
        }
    )  # fmt: skip


def coefficients(script: Path) -> list[np.ndarray]:
    """Run a script from another folder; return the coefficients, standard errors and sigma of each fit."""
    asked = 'cat("FIT", coef(summary(m))[, 1:2], sigma(m), "\\n")'
    text = script.read_text(encoding="utf-8").replace("print(summary(m))", asked)
    script.with_name("asked.R").write_text("options(digits = 15)\n" + text, encoding="utf-8")
    for file in (script, script.with_name("asked.R")):
        done = subprocess.run(["Rscript", str(file)], capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 0, done.stderr
    return [
        np.array(line.split(), dtype=float) for line in re.findall(r"^FIT (.*)$", done.stdout, re.MULTILINE)
    ]


def expected(entry: dict) -> np.ndarray:
    found = entry["coefficients"].values()
    return np.array([*(c["estimate"] for c in found), *(c["se"] for c in found), entry["sigma"]])


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
def test_the_scripts_of_a_report(trials: pd.DataFrame, tmp_path: Path) -> None:
    write_table(trials, tmp_path / "trials.parquet")
    entries = fit_models(trials, MODELS, tmp_path / "fits.json", content_hash(trials))
    write_json(tmp_path / "manifest.json", {"target": "t", "title": "t"})
    report(tmp_path)
    theirs = coefficients(tmp_path / "refit.R")
    assert len(theirs) == len(entries)
    for one, entry in zip(theirs, entries, strict=True):
        assert one == pytest.approx(expected(entry), rel=1e-3, abs=1e-4)


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_the_script_of_fit(trials: pd.DataFrame, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mine.{suffix}"
    if suffix == "parquet":
        trials.to_parquet(path)
    else:
        trials.to_csv(path, sep="\t" if suffix == "tsv" else ",", index=False)
    formula = f"log(rt_ms) ~ scale(`word length`) * C(condition, Sum) + surprisal_bits + {BOTH}"
    asked = [str(path), "--formula", formula, "--out", str(tmp_path / "out"), "--zscore", "surprisal_bits"]
    CliRunner().invoke(command, asked, catch_exceptions=False)
    (entry,) = json.loads((tmp_path / "out" / "fits.json").read_text())
    (theirs,) = coefficients(tmp_path / "out" / "refit.R")
    assert theirs == pytest.approx(expected(entry), rel=1e-3, abs=1e-4)


def test_all_columns_lie_beside_the_script(trials: pd.DataFrame, tmp_path: Path) -> None:
    trials.to_parquet(tmp_path / "mine.parquet")
    asked = ["--formula", f"n400_uv ~ condition + {BOTH}", "--out", str(tmp_path / "out")]
    CliRunner().invoke(command, [str(tmp_path / "mine.parquet"), *asked], catch_exceptions=False)
    kept = pd.read_csv(tmp_path / "out" / "refit.csv")
    assert list(kept) == [name.replace(" ", ".") for name in trials]
    assert set(kept["note"]) == {"'=own words"}
    assert 'file.path(here, "refit.csv")' in (tmp_path / "out" / "refit.R").read_text()
