"""The script of a fit runs in R as it is and gives the same numbers."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import FitError
from clada_neuro.exports import write_csv
from clada_neuro.stats.bayes.priors import priors_of
from clada_neuro.stats.marginal.overview import overview
from clada_neuro.stats.mixed import MixedFit, estimate, fit
from clada_neuro.stats.model import specify

BOTH = "(1 | subject) + (1 | item)"
CASES: list[tuple[str, dict]] = [
    (f"y ~ x * cond + {BOTH}", {}),
    (f"y ~ num + x + {BOTH}", {"contrasts": {"num": "sum"}, "standardize": True}),
    (f"y ~ factor(num) * x + {BOTH}", {"standardize": True}),
    (f"y ~ C(cond, Sum) + C(num, contr.sdif) + {BOTH}", {}),
    (f"y ~ C(cond, contr.treatment(base='control')) * C(sign, c(-0.5, 0.5)) + flag + {BOTH}", {}),
    (f"y ~ relevel(cond, ref='control') + ordered(num) + code + {BOTH}", {}),
    (f"log(rt_2) ~ np.log(rt) + I(x^2) + scale(`word length`) + {BOTH}", {}),
    (f"-1000/rt_2 ~ scale(cloze.prob) + scale(x, scale=FALSE) + {BOTH}", {}),
    (f"y.uv ~ `word length` * `word type` + cloze.prob + {BOTH}", {"standardize": True}),
    (f"y ~ x %in% cond + offset(log(rt)) + {BOTH}", {}),
    (f"y ~ ns(x, 3) * sign + bs(`word length`, 4) + {BOTH}", {}),
    (f"y ~ poly(x, 2) + cr(cloze.prob, df=4, constraints='center') + standardize(rt) + {BOTH}", {}),
    ("y ~ x * cond + (1 + x | subject) + (1 | item:`word type`)", {"contrasts": {"cond": "helmert"}}),
    ("y ~ x + (x || subject) + (1 | code/item)", {"standardize": ["x"]}),
    (f"y ~ x + cond + {BOTH}", {"weights": "count"}),
    ("y ~ x * cond + code", {}),
]  # fmt: skip


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    """Trials with what tables hold: text that looks like numbers, blanks in names, signs before text, gaps."""
    rng = np.random.default_rng(1)
    subject, item = np.divmod(np.arange(14 * 24), 24)
    n = len(subject)
    x, cond = rng.normal(size=n), rng.choice(["control", "Expt", "baseline"], n)
    person, frame = rng.normal(size=(14, 2)), rng.normal(size=24)
    y = person[subject, 0] + (0.3 + 0.5 * person[subject, 1]) * x + 0.7 * frame[item] + 0.8 * (cond == "Expt")
    y = y + rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "subject": subject, "item": item, "y": y, "y.uv": 3 * y, "rt_2": np.exp(6 + 0.1 * y), "x": x, "cond": cond,
            "rt": rng.uniform(200, 900, n), "cloze.prob": rng.uniform(size=n), "word length": rng.integers(2, 10, n),
            "num": rng.choice([1, 2, 10], n), "sign": rng.choice(["+a", "-b"], n), "flag": rng.random(n) < 0.4,
            "word type": rng.choice(["N", "V"], n), "count": rng.integers(3, 30, n), "code": rng.choice(["01", "1"], n),
        }
    )  # fmt: skip
    frame.loc[3, "x"] = np.nan
    frame.loc[9, "cond"] = None
    return frame


def fitted(data: pd.DataFrame, formula: str, how: dict) -> MixedFit:
    engine = "mixedlm" if "|" in formula else "statsmodels"
    return estimate(specify(data, formula, **how), engine=engine)


def numbers(script: str, folder: Path) -> dict[str, np.ndarray]:
    """Run a script in R from elsewhere and return coefficients, standard errors and log-likelihood."""
    asked = 'cat("B", coef(summary(m))[, 1], "\\nSE", coef(summary(m))[, 2], "\\nLL", logLik(m), nobs(m), sigma(m), "\\n")'
    return lines_of(f"{script}{asked}\n", folder)


def lines_of(script: str, folder: Path) -> dict[str, np.ndarray]:
    """Run a script in R from elsewhere and return the numbers of lines that begin with a name in capitals."""
    (folder / "refit.R").write_text(f"options(digits = 15)\n{script}", encoding="utf-8")
    done = subprocess.run(["Rscript", str(folder / "refit.R")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^(B|SE|LL|S|N|[MP]\d) (.*)$", done.stdout, re.MULTILINE)
    return {
        name: np.array([np.nan if v == "NA" else v for v in values.split()], dtype=float)
        for name, values in found
    }


@cache
def installed(package: str) -> bool:
    """Return whether R is there, and a package of it."""
    asked = f'quit(status = !nzchar(system.file(package = "{package}")))'
    return (
        shutil.which("Rscript") is not None
        and not subprocess.run(["Rscript", "-e", asked], check=False).returncode
    )


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
@pytest.mark.parametrize("formula, how", CASES, ids=[formula for formula, _ in CASES])
def test_r_gives_the_same_numbers(data: pd.DataFrame, tmp_path: Path, formula: str, how: dict) -> None:
    ours = fitted(data, formula, how)
    folder = tmp_path / "a folder"
    folder.mkdir()
    write_csv(data, folder / "trials.csv", encoding="utf-8")
    theirs = numbers(ours.to_r_script(), folder)
    table = ours.coefficients
    scale = np.abs(table["estimate"]).max()
    assert theirs["B"] == pytest.approx(table["estimate"].to_numpy(), abs=1e-4 * scale)
    assert theirs["SE"] == pytest.approx(table["se"].to_numpy(), rel=1e-3)
    assert theirs["LL"][1:] == pytest.approx([ours.n_obs, ours.sigma], rel=1e-3)
    if ours.design.blocks:
        assert theirs["LL"][0] == pytest.approx(ours.loglik, abs=1e-3)


def test_what_r_could_decide_is_written_out(data: pd.DataFrame) -> None:
    script = fitted(
        data, f"log(rt_2) ~ np.log(rt) + x**2 + cond + factor(num) + {BOTH}", {"standardize": ["x"]}
    ).to_r_script()
    assert 'd$cond <- factor(d$cond, levels = c("Expt", "baseline", "control"))' in script
    assert "contrasts(d$cond) <- contr.treatment(levels(d$cond))" in script
    assert "lmer(log(rt_2) ~ log(rt) + x^2 + cond + C(factor(num), contr.treatment) +" in script
    assert 'colClasses = c(cond = "character")' in script
    assert "np." not in script


def test_weights_that_were_rescaled_are_rescaled_in_r(data: pd.DataFrame) -> None:
    script = fitted(data, f"y ~ x + {BOTH}", {"weights": "count"}).to_r_script(weight_mean=16.5)
    assert "weights = count / 16.5)" in script


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger"])
def test_emmeans_in_r_gives_the_same_means_and_contrasts(data: pd.DataFrame, tmp_path: Path, df: str) -> None:
    if not installed("emmeans"):
        pytest.skip("R has no emmeans")
    formula = f"y ~ cond * flag + sign * x + {BOTH}"
    ours = estimate(specify(data, formula, contrasts={"cond": "sum"}, standardize=["x"]), df=df)
    write_csv(data, tmp_path / "trials.csv", encoding="utf-8")
    script = ours.to_r_script(package="emmeans")
    assert f'lmer.df = "{df}"' in script
    shown = overview(ours)
    asked = "".join(
        f'r <- as.data.frame({call}); cat("{name}{at}", unlist(r[c("{column}", "SE", "df", "{low}")]), "\\n")\n'
        for at, one in enumerate(shown, start=1)
        for name, call, column, low in (
            ("M", f"summary(e{at})", "x.trend" if one["slope"] else "emmean", "lower.CL"),
            ("P", f'summary(pairs(e{at}, adjust = "holm"), infer = TRUE)', "estimate", "p.value"),
        )
    )
    theirs = lines_of(script + asked, tmp_path)
    assert [one["slope"] for one in shown] == ["", "", "x"]
    for at, one in enumerate(shown, start=1):
        for name, rows, last in (("M", one["estimates"], "ci_low"), ("P", one["contrasts"], "p")):
            table = pd.DataFrame(rows)[["estimate", "se", "df", last]]
            assert theirs[f"{name}{at}"] == pytest.approx(table.to_numpy().T.ravel(), rel=2e-3, abs=1e-3)


def test_emmeans_needs_a_factor_and_a_package_its_name(data: pd.DataFrame) -> None:
    fit = fitted(data, f"y ~ x + {BOTH}", {})
    with pytest.raises(FitError, match="has no factor; emmeans has nothing to show"):
        fit.to_r_script(package="emmeans")
    with pytest.raises(FitError, match=r"R package 'brm' given \(did you mean 'brms'\?\)"):
        fit.to_r_script(package="brm")


def test_brms_takes_the_priors_of_the_sampler(data: pd.DataFrame, tmp_path: Path) -> None:
    if not installed("brms"):
        pytest.skip("R has no brms")
    formula = "y.uv ~ x * cond + I(x^2) + (1 + x + cond | subject) + (1 | item:`word type`)"
    ours = fitted(data, formula, {"contrasts": {"cond": "sum"}, "standardize": ["x"]})
    write_csv(data, tmp_path / "trials.csv", encoding="utf-8")
    script = ours.to_r_script(package="brms")
    assert "# In units of the response. An effect" in script
    before, call, _ = script.partition("m <- brm(")
    assert call
    counts = fit(data.assign(hits=data["count"] // 2), "hits/count ~ x + (1 | item)", family="binomial")
    tested = """
v <- validate_prior(priors, f, d, family = family)
r <- v[v$class == "b" & v$coef != "", ]
cat("B", as.numeric(sub(".*, (.*)\\\\)", "\\\\1", r$prior))[match(columns(y.uv ~ x * cond + I(x^2)), r$coef)], "\\n")
r <- v[v$class == "sd" & v$coef != "" & v$group == "subject", ]
at <- match(c("Intercept", columns(y.uv ~ 1 + x + cond)), r$coef)
cat("S", as.numeric(sub(".*, (.*)\\\\)", "\\\\1", r$prior))[at], "\\n")
cat("N", nchar(make_stancode(f, d, family = family, prior = priors)), "\\n")
"""
    theirs = lines_of(before + tested, tmp_path)
    priors = priors_of(ours)
    assert theirs["B"] == pytest.approx(list(priors.coefficients.values()))
    assert theirs["S"] == pytest.approx(
        [sd for (group, _), sd in priors.spreads.items() if group == "subject"]
    )
    assert theirs["N"][0] > 1000
    assert "bf(hits | trials(count) ~ x + (1 | item))" in counts.to_r_script(package="brms")
