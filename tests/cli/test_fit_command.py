"""``clada-neuro fit`` from a file to fits.json."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from clada_neuro.cli.fit import command
from clada_neuro.errors import CladaNeuroError
from clada_neuro.reporting.results import read_results

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


def test_several_formulas_are_fitted_to_the_same_rows_and_compared(tmp_path: Path) -> None:
    data = pd.read_csv(REFERENCE)
    data.loc[:9, "surprisal"] = None
    data.to_csv(tmp_path / "trials.csv", index=False)
    small, large = "n400 ~ entropy + (1 | subject) + (1 | item)", f"{FORMULA} + entropy"
    out = tmp_path / "out"
    call = [str(tmp_path / "trials.csv"), "--formula", small, "--formula", large, "--out", str(out)]
    done = CliRunner().invoke(command, [*call, "--zscore", "surprisal"], catch_exceptions=False)
    assert "2,870 of 2,880 rows have a value in every column of all formulas" in done.output
    assert "model 2: 6 parameters" in done.output
    assert "χ²(1)" in done.output
    entries = json.loads((out / "fits.json").read_text())
    assert [(entry["name"], entry["n_obs"]) for entry in entries] == [("model 1", 2870), ("model 2", 2870)]
    assert "surprisal" in entries[1]["standardized"]
    table = pd.read_csv(out / "comparison.csv")
    assert table["formula"].tolist() == [small, large]
    assert table["chi2"].iloc[1] == pytest.approx(2 * table["loglik"].diff().iloc[1], abs=1e-6)
    assert (out / "refit.R").read_text().count("lmer(") == 2
    assert len(pd.read_csv(out / "refit.csv")) == 2870
    CliRunner().invoke(command, [*call[:3], *call[5:]], catch_exceptions=False)
    assert not (out / "comparison.csv").exists()  # of another call


def test_all_missing_columns_of_all_formulas_are_named_at_once(tmp_path: Path) -> None:
    call = [str(REFERENCE), "--formula", "n400 ~ a + (1 | subject)", "--formula", "n400 ~ b + (1 | c)"]
    done = CliRunner().invoke(command, [*call, "--out", str(tmp_path)])
    assert "lacks the columns 'a', 'b', 'c'" in str(done.exception)


def test_rows_that_are_words_are_called_words(tmp_path: Path) -> None:
    words = pd.DataFrame(
        {"stimulus_id": [f"t{at % 4}" for at in range(40)], "word": "w", "length": range(40)}
    )
    words["word_index"], words["surprisal_bits"] = words.index // 4, (7 * words["length"]) % 11
    words.to_parquet(tmp_path / "words.parquet")
    formula = "surprisal_bits ~ length + (1 | stimulus_id)"
    call = [str(tmp_path / "words.parquet"), "--formula", formula, "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(command, call, catch_exceptions=False)
    assert "the rows are words, not trials: 40 words of 4 texts" in done.output


FACTORIAL = REFERENCE.parent / "factorial_few.csv"
BY_CONDITION = "n400_uv ~ condition * group + (1 | subject) + (1 | item)"


def _entry(tmp_path: Path, *more: str) -> dict:
    call = [str(FACTORIAL), "--formula", BY_CONDITION, "--out", str(tmp_path), *more]
    CliRunner().invoke(command, call, catch_exceptions=False)
    return json.loads((tmp_path / "fits.json").read_text())[0]


def test_contrasts_and_degrees_of_freedom(tmp_path: Path) -> None:
    entry = _entry(
        tmp_path,
        "--df",
        "kenward-roger",
        "--contrast",
        "condition=sum",
        "--contrast",
        "group=treatment(patient)",
    )
    assert entry["contrasts"] == {"condition": "sum", "group": "treatment (reference patient)"}
    assert entry["codes"]["condition"]["codes"] == [[1, 0], [0, 1], [-1, -1]]
    assert entry["df_method"] == "kenward-roger"
    plain = _entry(tmp_path / "plain")
    assert plain["df_method"] == "satterthwaite"
    first = plain["coefficients"]["group[T.patient]"]
    assert first["estimate"] != pytest.approx(entry["coefficients"]["group[T.control]"]["estimate"])


@pytest.mark.parametrize(
    "more, message",
    [
        (["--contrast", "conditon=sum"], "contrasts of 'conditon' given, .*did you mean 'condition'"),
        (["--contrast", "condition=summ"], "contrasts of 'condition': contrasts 'summ' are not offered"),
        (["--df", "kenward"], "df 'kenward' given.* there are satterthwaite, kenward-roger"),
        (["--df", "kenward-roger", "--ml"], "rests on REML, and the fit is by maximum likelihood"),
    ],
)
def test_names_that_are_not_known(tmp_path: Path, more: list[str], message: str) -> None:
    call = [str(FACTORIAL), "--formula", BY_CONDITION, "--out", str(tmp_path), *more]
    with pytest.raises(CladaNeuroError, match=message):
        CliRunner().invoke(command, call, catch_exceptions=False)


def test_a_sheet_and_an_encoding_are_named_as_of_any_table(tmp_path: Path) -> None:
    data = pd.read_csv(REFERENCE).head(480).rename(columns={"subject": "sübject"})
    formula = "n400 ~ surprisal + (1 | sübject) + (1 | item)"
    with pd.ExcelWriter(tmp_path / "book.xlsx") as book:
        pd.DataFrame({"about": ["x"]}).to_excel(book, sheet_name="info", index=False)
        data.to_excel(book, sheet_name="data", index=False)
    data.to_csv(tmp_path / "latin.csv", index=False, encoding="latin-1")
    found = []
    for table, option in (("book.xlsx", ("--sheet", "data")), ("latin.csv", ("--encoding", "latin-1")),
                          ("latin.csv", ("--trial-encoding", "latin-1"))):  # fmt: skip
        call = [str(tmp_path / table), *option, "--formula", formula, "--out", str(tmp_path / "out")]
        CliRunner().invoke(command, call, catch_exceptions=False)
        found.append(json.loads((tmp_path / "out" / "fits.json").read_text())[0]["coefficients"])
    assert found[1] == found[2]
    assert found[0]["surprisal"]["estimate"] == pytest.approx(found[1]["surprisal"]["estimate"], rel=1e-9)
    done = CliRunner().invoke(command, [str(tmp_path / "latin.csv"), "--formula", formula, "--out", "x"])
    assert "byte 0xfc is not utf-8; save the file as UTF-8 or give its encoding (--encoding" in str(
        done.exception
    )


@pytest.mark.parametrize("spelt", [{}, {"accurate": {1: "TRUE", 0: "FALSE"}}])
def test_a_binomial_model_prints_odds_ratios_and_writes_a_glmer_script(tmp_path: Path, spelt: dict) -> None:
    data = pd.read_csv(REFERENCE.with_name("counts_full.csv")).replace(spelt)
    data.to_csv(tmp_path / "trials.csv", index=False)
    formulas = ["accurate ~ surprisal + (1 | subject)", "accurate ~ surprisal + group + (1 | subject)"]
    options = [part for formula in formulas for part in ("--formula", formula)]
    arguments = [
        str(tmp_path / "trials.csv"),
        *options,
        "--family",
        "binomial",
        "--out",
        str(tmp_path / "out"),
    ]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert "binomial with logit link" in result.output
    assert "odds_ratio" in result.output
    assert "model 2: 4 parameters" in result.output
    entry = json.loads((tmp_path / "out" / "fits.json").read_text())[0]
    assert entry["loglik"] == pytest.approx(-522.3432, abs=1e-3)  # glmer's
    assert entry["link"] == "logit"
    assert entry["coefficients"]["surprisal"]["odds_ratio"] < 1
    script = (tmp_path / "out" / "refit.R").read_text()
    assert "m <- glmer(accurate ~ surprisal + group + (1 | subject), data = d, family = binomial," in script
    assert read_results(tmp_path / "out").fits[0].link == "logit"


def test_more_scripts_and_tables_with_the_names_of_r(tmp_path: Path) -> None:
    call = [
        str(REFERENCE.with_name("counts_full.csv")),
        "--out",
        str(tmp_path),
        "--broom",
        "--r-script",
        "brms",
    ]
    formula = "surprisal ~ group + (1 | subject)"
    CliRunner().invoke(
        command, [*call, "--formula", formula, "--r-script", "emmeans"], catch_exceptions=False
    )
    assert pd.read_csv(tmp_path / "tidy.csv")["std.error"].notna().sum() == 2
    assert pd.read_csv(tmp_path / "glance.csv")["model"].tolist() == [formula]
    assert "emmeans(m, ~ group" in (tmp_path / "refit_emmeans.R").read_text()
    assert "set_prior(" in (tmp_path / "refit_brms.R").read_text()
    with pytest.raises(CladaNeuroError, match="R package 'emmean' given"):
        CliRunner().invoke(
            command, [*call, "--formula", formula, "--r-script", "emmean"], catch_exceptions=False
        )


def test_a_missing_sampler_is_told_before_anything_is_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bambi", None)
    call = [str(REFERENCE.with_name("counts_full.csv")), "--out", str(tmp_path / "out"), "--bayes"]
    with pytest.raises(CladaNeuroError, match=r"pip install 'clada-neuro\[bayes\]'"):
        CliRunner().invoke(
            command, [*call, "--formula", "surprisal ~ group + (1 | subject)"], catch_exceptions=False
        )
    assert not (tmp_path / "out").exists()


def test_trials_of_successes_are_weights_in_r(tmp_path: Path) -> None:
    arguments = [
        str(REFERENCE.with_name("counts_full.csv")),
        "--formula",
        "hits/(hits + misses) ~ surprisal + (1 | item)",
    ]
    CliRunner().invoke(
        command, [*arguments, "--family", "binomial", "--out", str(tmp_path)], catch_exceptions=False
    )
    assert "weights = hits + misses)" in (tmp_path / "refit.R").read_text()
