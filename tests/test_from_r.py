"""The page "From R": its Python runs, its R runs where R is, and what both call the same is the same."""

import re
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "from_r.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the table that the page calls trials.csv."""
    folder = tmp_path_factory.mktemp("desk")
    data = pd.read_csv(ROOT / "tests" / "reference" / "factorial_full.csv").rename(columns={"x": "surprisal"})
    chance = np.random.default_rng(0).random(len(data))
    data = data.assign(accurate=(chance < 1 / (1 + np.exp(-data["surprisal"] / 5))).astype(int))
    data.to_csv(folder / "trials.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def names(desk: Path) -> dict:
    """Run the page's Python from top to bottom and return what it named."""
    found: dict = {}
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.chdir(desk)
        warnings.simplefilter("ignore")
        for code in blocks("python"):
            exec(code, found)
    return found


def test_the_python_runs(names: dict) -> None:
    assert len(blocks("python")) >= 7
    assert names["s"].smooths()["smooth"].tolist() == ["s(surprisal)"]
    assert names["g"].family == "binomial"


def test_what_r_prints_is_the_same(names: dict, desk: Path) -> None:
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed")
    sampled = [code for code in blocks("r") if "brm(" in code]
    code = "\n".join(code for code in blocks("r") if code not in sampled)
    needed = sorted({*re.findall(r"library\((.+?)\)", code)})
    asked = f"""
missing <- Filter(function(p) !nzchar(system.file(package = p)), c({", ".join(f'"{name}"' for name in needed)}))
if (length(missing)) quit(status = 3)
sink("printed.txt")
{code}
sink()
write.csv(tidy(m, conf.int = TRUE), "tidy.csv", row.names = FALSE)
write.csv(as.data.frame(pairs(e, adjust = "holm")), "pairs.csv", row.names = FALSE)
invisible(parse(text = {"".join(sampled)!r}))
"""
    (desk / "page.R").write_text(asked)
    done = subprocess.run(["Rscript", "page.R"], cwd=desk, capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip(f"R lacks one of {', '.join(needed)}")
    assert done.returncode == 0, done.stderr
    theirs, ours = pd.read_csv(desk / "tidy.csv"), names["m"].tidy("broom")
    both = ours.merge(theirs, on=["effect", "group", "term"], suffixes=("", "_r"))
    assert set(ours) == set(theirs)
    assert len(both) == len(ours) == len(theirs)
    fixed = both[both["effect"] == "fixed"]
    assert fixed["estimate"].to_numpy() == pytest.approx(fixed["estimate_r"], abs=1e-3)
    assert fixed["std.error"].to_numpy() == pytest.approx(fixed["std.error_r"], rel=5e-3)
    pairs = pd.read_csv(desk / "pairs.csv")
    assert names["e"].pairs(adjust="holm")["estimate"].to_numpy() == pytest.approx(
        pairs["estimate"], abs=1e-3
    )


def test_figures_of_the_posterior_on_the_page_are_the_priors_in_use() -> None:
    from clada_neuro.stats.bayes.priors import _BY_FAMILY, _BY_UNIT

    for name, (center, spread, effect, random, residual) in {**_BY_UNIT, **_BY_FAMILY}.items():
        row = f"normal({center:g}, {spread:g}) | normal(0, {effect:g}) | half-normal({random:g}) |"
        row += f" half-normal({residual:g}) |" if residual else " |"
        shown = {"binomial": "log odds", "poisson": "log rates"}.get(name, name)
        assert f"| {shown} | {row}" in PAGE
