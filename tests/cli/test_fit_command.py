"""``clada-neuro fit`` from a file to fits.json."""

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from clada_neuro.cli.fit import command
from clada_neuro.errors import CladaNeuroError

REFERENCE = Path(__file__).parents[1] / "reference" / "sim_small.csv"
FORMULA = "n400 ~ surprisal + (1 | subject) + (1 | item)"


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    data = pd.read_csv(REFERENCE).assign(word="None")
    path = tmp_path / f"trials.{suffix}"
    if suffix == "parquet":
        data.to_parquet(path)
    else:
        data.to_csv(path, sep="\t" if suffix == "tsv" else ",", index=False)
    result = CliRunner().invoke(
        command, [str(path), "--formula", f"{FORMULA} + (1 | lab)", "--out", str(tmp_path)]
    )
    assert isinstance(result.exception, CladaNeuroError)
    result = CliRunner().invoke(
        command,
        [str(path), "--formula", FORMULA, "--out", str(tmp_path / "out"), "--ml"],
        catch_exceptions=False,
    )
    assert "surprisal" in result.output
    entry = json.loads((tmp_path / "out" / "fits.json").read_text())[0]
    assert entry["n_obs"] == 2880
    assert entry["reml"] is False
    assert "lmer(" in (tmp_path / "out" / "refit.R").read_text()


def test_missing_file_and_zscore(tmp_path: Path) -> None:
    runner = CliRunner()
    missing = runner.invoke(command, ["nowhere.csv", "--formula", FORMULA, "--out", str(tmp_path)])
    assert "cannot read 'nowhere.csv'" in str(missing.exception)
    runner.invoke(
        command,
        [str(REFERENCE), "--formula", FORMULA, "--out", str(tmp_path), "--zscore", "surprisal"],
        catch_exceptions=False,
    )
    entry = json.loads((tmp_path / "fits.json").read_text())[0]
    assert entry["standardized"]["surprisal"]["sd"] == pytest.approx(1.0, abs=1e-3)


def test_conditions_in_numbers_are_a_factor_here_as_in_a_run(tmp_path: Path) -> None:
    """Labels are text in every table, so 1, 2, 3 have no slope unless one is asked for."""
    data = pd.read_csv(REFERENCE)
    data = data.assign(condition=1 + data["item"].str[1:].astype(int) % 3).drop(
        columns=["entropy", "sparsity"]
    )
    data.to_csv(tmp_path / "trials.csv", index=False)
    data.astype({"condition": str}).to_parquet(tmp_path / "trials.parquet")  # as `run` writes it
    terms = {}
    for suffix in ("csv", "parquet"):
        for formula in (
            FORMULA.replace("surprisal", "condition"),
            FORMULA.replace("surprisal", "as.numeric(condition)"),
        ):
            asked = [str(tmp_path / f"trials.{suffix}"), "--formula", formula, "--out", str(tmp_path)]
            CliRunner().invoke(command, asked, catch_exceptions=False)
            (entry,) = json.loads((tmp_path / "fits.json").read_text())
            terms[suffix, formula] = {name: row["estimate"] for name, row in entry["coefficients"].items()}
    (factor, slope), (same, equal) = (
        [found for (kind, _), found in terms.items() if kind == suffix] for suffix in ("csv", "parquet")
    )
    assert list(factor) == ["(Intercept)", "condition[T.2]", "condition[T.3]"]
    assert list(slope) == ["(Intercept)", "as.numeric(condition)"]
    assert (same, equal) == (pytest.approx(factor), pytest.approx(slope))


def test_rows_that_are_asked_for_are_fitted_and_the_others_counted(tmp_path: Path) -> None:
    data = pd.read_csv(REFERENCE)
    asked = data["subject"] != data["subject"].iloc[0]
    data.assign(is_critical=asked).to_csv(tmp_path / "trials.csv", index=False)
    data[asked].to_csv(tmp_path / "subset.csv", index=False)
    entries = []
    for name, more in (("trials.csv", ["--where", "is_critical"]), ("subset.csv", [])):
        out = tmp_path / name.removesuffix(".csv")
        call = [str(tmp_path / name), "--formula", FORMULA, "--out", str(out), *more]
        result = CliRunner().invoke(command, call, catch_exceptions=False)
        entries.append(json.loads((out / "fits.json").read_text())[0])
        if more:
            counted = f"{asked.sum():,} of 2,880 rows used: {(~asked).sum():,} not where is_critical"
            assert counted in result.output
    assert entries[0]["n_obs"] == asked.sum()
    assert entries[0]["coefficients"] == entries[1]["coefficients"]
