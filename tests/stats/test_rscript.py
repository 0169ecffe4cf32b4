"""The script of a fit runs in R as it is and gives the same numbers."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clada_neuro.exports import write_csv
from clada_neuro.stats.mixed import MixedFit, estimate
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
    (folder / "refit.R").write_text(f"options(digits = 15)\n{script}{asked}\n", encoding="utf-8")
    done = subprocess.run(["Rscript", str(folder / "refit.R")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^(B|SE|LL) (.*)$", done.stdout, re.MULTILINE)
    return {name: np.array(values.split(), dtype=float) for name, values in found}


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
