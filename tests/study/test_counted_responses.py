"""Accuracy, shares, counts and logarithms of times, from the command line to the report, with a model of two layers."""

import html
import re

import numpy as np
import pandas as pd
import pytest
from command_line import clada
from tiny_models import tiny_checkpoint

from clada_neuro import artifacts

GROUPS = "(1|subject) + (1|item)"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Sixteen items in two conditions, read by ten people: answers, hits and misses, regressions, times."""
    folder, rng = tmp_path_factory.mktemp("counted"), np.random.default_rng(0)
    tiny_checkpoint(folder / "model")
    texts, trials = [], []
    person = rng.normal(0, 0.6, 10)
    for item in range(16):
        for condition in ("plain", "odd"):
            words = " ".join(f"w{number}" for number in rng.choice(np.arange(2, 97), 5, replace=False))
            texts.append(
                {"item": item, "condition": condition, "sentence": words, "critical_word": words.split()[-1]}
            )
            for subject in range(10):
                eta = 0.5 + person[subject] + 0.9 * (condition == "plain")
                hits = rng.binomial(6, 1 / (1 + np.exp(-eta)))
                time = np.exp(6 + 0.2 * (condition == "odd") + 0.2 * person[subject] + rng.normal(0, 0.3))
                correct = "true" if rng.random() < 1 / (1 + np.exp(-eta)) else "false"
                trials.append(
                    [f"s{subject}", item, condition, correct, hits, 6 - hits, rng.poisson(np.exp(-eta)), time]
                )
    pd.DataFrame(texts).to_csv(folder / "texts.csv", index=False)
    columns = ["subject", "item", "condition", "correct", "hits", "misses", "regressions", "rt_ms"]
    pd.DataFrame(trials, columns=columns).to_csv(folder / "trials.csv", index=False)
    return folder


def _run(desk, out, capsys, *options):
    done = clada(
        capsys, "run", desk / "texts.csv", "--trials", desk / "trials.csv", "--model", desk / "model", "--out", out,
        "--jobs", 1, *options,
    )  # fmt: skip
    return done


def _page(out):
    text = re.sub(
        r"<(script|style).*?</\1>", "", (out / "report.html").read_text(encoding="utf-8"), flags=re.DOTALL
    )
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text))).replace("\u00a0", " ")


def test_a_study_of_answers_shares_counts_and_times_goes_to_a_report(desk, tmp_path, capsys):
    analysis = tmp_path / "analysis.toml"
    analysis.write_text(
        'title = "Comprehension"\n'
        + "".join(
            f'[[model]]\nname = "{name}"\nformula = "{left} ~ surprisal_bits + condition + {GROUPS}"\n'
            f'directions = {{ surprisal_bits = "negative" }}\n{more}\n'
            for name, left, more in (
                ("answers", "correct", 'family = "binomial"\ncontrasts = { condition = "sum" }'),
                ("shares", "hits/(hits + misses)", 'family = "binomial"\nadjust_with = "behaviour"'),
                ("regressions", "regressions", 'family = "poisson"\nadjust_with = "behaviour"'),
                ("times", "log(rt_ms)", ""),
            )
        )
    )
    out = tmp_path / "out"
    done = _run(desk, out, capsys, "--analysis", analysis)
    assert done.code == 0, done.err
    assert re.search(r"answers: surprisal_bits b = -?\d\.\d+, z = -?\d\.\d+, odds ratio = \d\.\d+", done.err)
    fits = {fit["name"]: fit for fit in artifacts.read_json(out / "fits.json")}
    assert {name: fit["response_family"] for name, fit in fits.items() if fit.get("link")} == {
        "answers": "binomial", "shares": "binomial", "regressions": "poisson",
    }  # fmt: skip
    assert fits["shares"]["family"] == "2 focal terms of all models of behaviour"
    assert not artifacts.read_json(out / "manifest.json")["departures"]
    text = _page(out)
    row, profile = (
        fits["answers"]["coefficients"]["surprisal_bits"],
        fits["answers"]["profile"]["surprisal_bits"],
    )
    told = f"OR = {row['odds_ratio']:.2f}, 95% CI [{row['odds_ratio_low']:.2f}, {row['odds_ratio_high']:.2f}] (Wald)"
    assert told in text
    assert f"[{profile['odds_ratio_low']:.2f}, {profile['odds_ratio_high']:.2f}] (profile)" in text
    assert "Estimated marginal probabilities of correct by condition: odd 0." in text
    assert "Estimated marginal rates of regressions by condition" in text
    assert "Estimated marginal medians of reading times by condition" in text
    assert "generalised mixed-effects models (binomial, logit link, Laplace's approximation)" in text
    assert "R² of counts is on the latent scale (Nakagawa et al., 2017)" in text
    assert "of the variance on the latent scale" in text
    assert "were turned back by exp(), into medians of rt_ms" in text
    drawn = {path.name for path in (out / "figures").iterdir()}
    assert {
        "effect_answers_surprisal_bits.svg", "effect_shares_surprisal_bits.svg", "effect_times_surprisal_bits.svg",
        "marginal_answers_condition.svg", "marginal_times_condition.svg", "coefficients_regressions.svg",
    } <= drawn  # fmt: skip
    assert not any(name.startswith("residuals_answers") for name in drawn)
    table = pd.read_csv(out / "tables" / "coefficients_answers.csv")
    assert {"odds_ratio", "z"} <= set(table)
    assert "glmer(" in (out / "refit.R").read_text()


def test_options_say_the_family_the_codes_and_the_degrees_of_freedom(desk, tmp_path, capsys):
    formula = f"correct ~ surprisal_bits + condition + {GROUPS}"
    done = _run(
        desk,
        tmp_path / "a",
        capsys,
        "--formula",
        formula,
        "--family",
        "binomial",
        "--contrast",
        "condition=sum",
    )
    assert done.code == 0, done.err
    (fit,) = artifacts.read_json(tmp_path / "a" / "fits.json")
    assert fit["contrasts"] == {"condition": "sum (odd 1, plain -1)"}
    assert fit["response_family"] == "binomial"
    linear = formula.replace("correct", "rt_ms")
    done = _run(desk, tmp_path / "a", capsys, "--formula", linear, "--df", "kenward-roger")
    assert done.code == 0, done.err
    assert artifacts.read_json(tmp_path / "a" / "fits.json")[0]["df_method"] == "kenward-roger"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--formula", f"rt_ms ~ condition + {GROUPS}", "--family", "binomial"],
         r"'rt_ms' is \d+\.?\d* in row \d+; a binomial response is 0 or 1, or successes/trials"),
        (["--formula", f"condition ~ surprisal_bits + {GROUPS}", "--family", "binomial"],
         r"'condition' is '(plain|odd)' in row \d+; a binomial response is 0 or 1"),
        (["--formula", f"hits/(misses + 1) ~ condition + {GROUPS}", "--family", "binomial"],
         r"'hits/\(misses \+ 1\)' is \d of \d in row \d+; a binomial response is 0 or 1, or successes/trials"),
        (["--formula", f"correct ~ condition + {GROUPS}", "--family", "binomial", "--df", "kenward-roger"],
         r"df 'kenward-roger' given, and a binomial model has Wald z tests"),
        (["--formula", f"correct ~ condition + {GROUPS}", "--family", "binomal"],
         r"family 'binomal' given \(did you mean 'binomial'\?\)"),
        (["--formula", f"rt_ms ~ condition + {GROUPS}", "--contrast", "conditon=sum"],
         r"contrasts of 'conditon' given, .*did you mean 'condition'"),
        (["--formula", f"rt_ms ~ condition + {GROUPS}", "--where", "condition == 'odd'"],
         r"'condition' has one level in the rows used \('odd'\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_counted_or_compared_is_told_in_one_line_before_the_model_runs(
    desk, tmp_path, capsys, options, line
):
    done = _run(desk, tmp_path, capsys, *options)
    assert done.code == 2
    assert re.search(line, done.err), done.err
    assert "[2/5]" not in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_an_analysis_file_and_options_of_fits_exclude_each_other(desk, tmp_path, capsys):
    (tmp_path / "a.toml").write_text(f'title = "t"\n[model]\nname = "m"\nformula = "rt_ms ~ 1 + {GROUPS}"\n')
    done = _run(desk, tmp_path, capsys, "--analysis", tmp_path / "a.toml", "--family", "poisson")
    assert done.code == 2
    assert "leave --family out, and write family, df and contrasts under its [[model]]" in done.err


def test_separation_is_one_line_in_the_report(desk, tmp_path, capsys):
    trials = pd.read_csv(desk / "trials.csv")
    trials.loc[trials["condition"] == "odd", "correct"] = False
    trials.to_csv(tmp_path / "separated.csv", index=False)
    done = clada(
        capsys, "run", desk / "texts.csv", "--trials", tmp_path / "separated.csv", "--model", desk / "model", "--out",
        tmp_path / "out", "--formula", f"correct ~ condition + {GROUPS}", "--family", "binomial",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "separation: 'condition[T.plain]' tells some responses without error" in _page(tmp_path / "out")
