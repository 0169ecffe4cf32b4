"""Models with smooths, from an analysis file and from formulas, to the report, the tables and R."""

import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from command_line import clada
from tiny_models import tiny_checkpoint

from clada_neuro import artifacts

GROUPS = "(1|subject) + (1|item)"
CURVE = f"rt_ms ~ condition + s(frequency, k = 6) + {GROUPS}"
SURFACE = f"rt_ms ~ te(surprisal_bits, frequency, k = 4) + {GROUPS}"
LINE = f"rt_ms ~ frequency + {GROUPS}"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Sixteen items in two conditions read by ten people, whose times follow a sine of frequency."""
    folder, rng = tmp_path_factory.mktemp("smooths"), np.random.default_rng(0)
    tiny_checkpoint(folder / "model")
    texts, trials, person = [], [], rng.normal(0, 30, 10)
    for item in range(16):
        for condition in ("plain", "odd"):
            words = " ".join(f"w{number}" for number in rng.choice(np.arange(2, 97), 5, replace=False))
            frequency = round(float(rng.uniform(1, 7)), 2)
            texts.append((item, condition, frequency, words, words.split()[-1]))
            for subject in range(10):
                time = 400 + person[subject] + 40 * np.sin(frequency) + rng.normal(0, 30)
                trials.append((f"s{subject}", item, condition, time))
    columns = ["item", "condition", "frequency", "sentence", "critical_word"]
    pd.DataFrame(texts, columns=columns).to_csv(folder / "texts.csv", index=False)
    columns = ["subject", "item", "condition", "rt_ms"]
    pd.DataFrame(trials, columns=columns).to_csv(folder / "trials.csv", index=False)
    (folder / "analysis.toml").write_text(
        'title = "Curves"\n'
        + "".join(
            f'[[model]]\nname = "{name}"\nformula = "{formula}"\n{more}\n'
            for name, formula, more in (
                ("curve", CURVE, ""),
                ("surface", SURFACE, ""),
                ("line", LINE, 'directions = { frequency = "negative" }'),
            )
        )
    )
    return folder


def _run(desk, out, capsys, *options):
    asked = ("run", desk / "texts.csv", "--trials", desk / "trials.csv", "--model", desk / "model")
    done = clada(capsys, *asked, "--out", out, "--jobs", 1, *options)
    assert done.code == 0, done.err
    return done, {fit["name"]: fit for fit in artifacts.read_json(out / "fits.json")}


def test_an_analysis_with_smooths_goes_to_a_report(desk, tmp_path, capsys):
    done, fits = _run(desk, tmp_path, capsys, "--analysis", desk / "analysis.toml")
    assert re.search(r"curve: condition\[T.plain\] b = .+; s\(frequency\) edf \d\.\d+, p < \.001", done.err)
    (curve,), (surface,) = fits["curve"]["smooths"], fits["surface"]["smooths"]
    assert curve["edf"] > 2
    assert curve["p_line"] < 0.01
    assert (surface["variables"], surface["k"]) == (["surprisal_bits", "frequency"], [4, 4])
    # The straight model's own check says the same of its effect.
    assert fits["line"]["curves"]["frequency"]["p_line"] < 0.01
    page = (tmp_path / "report.md").read_text(encoding="utf-8").replace("\u00a0", " ")
    assert re.search(r"The smooth effect of .*frequency on reading times was reliable, edf = ", page)
    assert "and differed from a straight line, p " in page
    assert "s(frequency).line" not in page.partition("## What was run")[0]
    assert "Curves are penalized regression splines" in page
    for name in ("smooths_curve", "surfaces_surface", "linearity_line"):
        assert (tmp_path / "figures" / f"{name}.svg").exists()
    tests = pd.read_csv(tmp_path / "tables" / "curves.csv")
    assert tests["model"].tolist() == ["curve", "surface", "line"]
    assert tests["p_line"][0] == pytest.approx(curve["p_line"])


def test_formulas_of_a_run_have_smooths(desk, tmp_path, capsys):
    _, fits = _run(desk, tmp_path, capsys, "--formula", CURVE)
    assert fits["rt_ms"]["smooths"][0]["p_line"] < 0.01


@pytest.mark.parametrize(
    "formula, package",
    [(CURVE, "gamm4"), (CURVE.replace("s(frequency, k = 6)", "te(frequency, x, k = 4)"), "mgcv")],
)
def test_r_runs_the_script_and_finds_the_same(desk, tmp_path, capsys, formula, package):
    trials = pd.read_csv(desk / "trials.csv").merge(pd.read_csv(desk / "texts.csv"), on=["item", "condition"])
    trials["x"] = np.random.default_rng(1).normal(size=len(trials))
    trials.to_csv(tmp_path / "trials.csv", index=False)
    out = tmp_path / "fit"
    done = clada(capsys, "fit", tmp_path / "trials.csv", "--formula", formula, "--out", out)
    assert done.code == 0, done.err
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed")
    (entry,) = artifacts.read_json(out / "fits.json")
    script = (out / "refit.R").read_text(encoding="utf-8")
    assert f"library({package})" in script
    gam = "m$gam" if package == "gamm4" else "m"
    asked = f"""
if (!all(nzchar(sapply(c("gamm4", "mgcv"), function(p) system.file(package = p))))) quit(status = 3)
{script}
cat("EDF", sum({gam}$edf[grep("frequency", names(coef({gam})))]), "\n")
cat("B", coef({gam})["conditionplain"], sqrt(diag(vcov({gam})))["conditionplain"], "\n")
"""
    (out / "asked.R").write_text(asked, encoding="utf-8")
    ran = subprocess.run(["Rscript", str(out / "asked.R")], capture_output=True, text=True, check=False)
    if ran.returncode == 3:
        pytest.skip("R has no gamm4 and mgcv")
    assert ran.returncode == 0, ran.stderr
    found = {
        line.split()[0]: list(map(float, line.split()[1:]))
        for line in re.findall("^(?:EDF|B) .*", ran.stdout, re.MULTILINE)
    }
    effect = entry["coefficients"]["condition[T.plain]"]
    assert found["EDF"] == pytest.approx([entry["smooths"][0]["edf"]], abs=0.1)
    assert found["B"] == pytest.approx([effect["estimate"], effect["se"]], rel=0.01, abs=0.01)
