"""The stage of a study: what it reduces, checks, keeps and resumes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clada_neuro import cache
from clada_neuro.artifacts import read_json, read_table, write_json
from clada_neuro.errors import FitError
from clada_neuro.stats.mixed import fit
from clada_neuro.stats.sensitivity import CUTOFF_SD
from clada_neuro.stats.specification import ModelSpecification, SynergySpecification
from clada_neuro.stats.stage import default_replicates, estimate_synergy, fit_models

SLOPES = ModelSpecification(
    "slopes", "n400_uv ~ x + (1 + x | subject) + (1 | item)", directions={"x": "negative"}
)
SYNERGY = SynergySpecification("n400_uv", ("x", "z"), "(1 + x | subject) + (1 | item)", bootstrap=6)


@pytest.fixture(scope="module")
def trials() -> pd.DataFrame:
    """Trials whose readers have exactly the same slope of x, so that its variance is zero."""
    rng = np.random.default_rng(2)
    words = pd.DataFrame(
        {"item": [f"i{k}" for k in range(40)], "x": rng.normal(size=40), "z": rng.normal(size=40)}
    )
    data = words.merge(
        pd.DataFrame({"subject": [f"s{k}" for k in range(12)], "lab": np.repeat(["a", "b"], 6)}), how="cross"
    )
    noise = rng.normal(0, 2, len(data)) + rng.normal(0, 1, 40)[pd.factorize(data["item"])[0]]
    y = -0.5 * data["x"] + noise
    for _, rows in data.groupby("subject").groups.items():
        y[rows] -= np.polyfit(data.loc[rows, "x"], y[rows], 1)[0] * data.loc[rows, "x"]
    y += rng.normal(0, 1.5, 12)[pd.factorize(data["subject"])[0]] - 0.5 * data["x"]
    y[0] += 30  # one extreme trial
    return data.assign(n400_uv=y)


@pytest.fixture(scope="module")
def entry(trials, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("stage")
    return fit_models(trials, (SLOPES,), folder / "fits.json", "rows", influence=True)[0]


def test_singular_slopes_are_reduced_by_the_ladder_and_said(trials, entry, tmp_path):
    said = []
    fit_models(trials, (SLOPES,), tmp_path / "fits.json", "rows", said.append)
    assert entry["specified"] == SLOPES.formula
    assert [rung["removed"] for rung in entry["ladder"]] == ["correlations", "(0 + x | subject)", ""]
    assert "(0 + x" not in entry["formula"]
    assert not entry["singular"]
    assert said[-1].endswith("the reduction ladder removed correlations, then (0 + x | subject)")


def test_a_specified_sandwich_is_in_the_entry(trials, tmp_path):
    plain = ModelSpecification("m", "n400_uv ~ x + (1 | subject) + (1 | item)", directions={"x": "negative"})
    found = fit_models(
        trials, (plain, replace(plain, name="r", robust="subject:lab")), tmp_path / "fits.json", "rows"
    )
    assert [entry["robust"] for entry in found] == ["", "subject:lab"]
    ours, theirs = (entry["coefficients"]["x"] for entry in found)
    assert ours["estimate"] == theirs["estimate"]
    assert ours["se"] != theirs["se"]
    assert theirs["df"] <= 11
    with pytest.raises(FitError, match="no column 'sequence'"):
        fit_models(trials, (replace(plain, robust="subject:sequence"),), tmp_path / "other.json", "rows")


def test_the_fit_without_extreme_trials_is_that_of_the_trials_within_the_cutoff(trials, entry):
    y = trials["n400_uv"]
    found = entry["sensitivity"]
    assert found["cutoff"] == pytest.approx(CUTOFF_SD * y.std())
    kept = (y - y.mean()).abs() <= found["cutoff"]
    assert found["n_left_out"] == (~kept).sum() >= 1
    scaled = trials.assign(x=(trials["x"] - trials["x"].mean()) / trials["x"].std())
    expected = fit(scaled.loc[kept], entry["formula"]).coefficient("x")
    row = next(row for row in found["terms"] if row["term"] == "x")
    assert row["estimate_without"] == pytest.approx(expected["estimate"], rel=1e-5)
    assert row["se_without"] == pytest.approx(expected["se"], rel=1e-4)


def test_the_curve_beside_the_line_is_in_the_predictors_own_unit(trials, entry):
    curve = entry["curves"]["x"]
    assert (min(curve["x"]), max(curve["x"])) == pytest.approx((trials["x"].min(), trials["x"].max()))
    slope = entry["coefficients"]["x"]["estimate"] / trials["x"].std()
    assert np.diff(curve["line"]) == pytest.approx(slope * np.diff(curve["x"]), rel=1e-3)
    bent = fit(trials, entry["formula"].replace(" x ", " s(x) ", 1)).smooths()
    assert curve["p_line"] == pytest.approx(bent["p_line"][0], abs=0.02)
    assert curve["edf"] == pytest.approx(bent["edf"][0], abs=0.01)


def test_the_smallest_effect_follows_from_the_entrys_own_standard_error(entry):
    found, row = entry["detectable"]["x"], entry["coefficients"]["x"]
    assert (found["se"], found["df"]) == (row["se"], row["df"])
    assert 2.8 < found["effect"] / found["se"] < 3.1


def test_influence_is_estimated_on_request_and_names_each_level(trials, entry, tmp_path):
    assert set(entry["influence"]) == {"subject", "item", "lab"}
    by_lab = pd.DataFrame(entry["influence"]["lab"])
    assert set(by_lab["level"]) == {"a", "b"}
    most = entry["influence"]["item"][0]
    scaled = trials.assign(x=(trials["x"] - trials["x"].mean()) / trials["x"].std())
    again = fit(scaled.loc[trials["item"] != most["level"]], entry["formula"], reml=False).coefficient("x")
    assert most["estimate"] == pytest.approx(again["estimate"], rel=1e-4)
    without = fit_models(trials, (SLOPES,), tmp_path / "fits.json", "rows")[0]
    assert "influence" not in without


def test_the_synergy_is_estimated_with_one_reduced_random_part(trials, tmp_path):
    found = estimate_synergy(trials, SYNERGY, tmp_path / "synergy.json", "rows", 0)
    random = found["formula_full"].split("x:z + ")[1]
    assert found["formula_baseline"].endswith(random)
    assert "x | subject" not in random
    assert found["ladder"][-1]["removed"] == ""
    assert found["intervals"]["n_null"] == found["intervals"]["parametric"]["n"] == 6


def test_replicates_are_the_same_in_parallel_and_a_larger_run_goes_on_from_a_smaller(
    trials, tmp_path, monkeypatch
):
    monkeypatch.setattr("clada_neuro.parts._WORTH_PROCESSES_S", 0.0)
    intercepts = SynergySpecification("n400_uv", ("x", "z"), "(1 | subject) + (1 | item)", bootstrap=4)
    folder = tmp_path / "resumed"
    folder.mkdir()
    estimate_synergy(trials, intercepts, folder / "synergy.json", "rows", 0)
    before = read_table(folder / "bootstrap_null.parquet")
    resumed = estimate_synergy(trials, intercepts, folder / "synergy.json", "rows", 0, replicates=8)
    pd.testing.assert_frame_equal(read_table(folder / "bootstrap_null.parquet").head(4), before)
    parallel = estimate_synergy(
        trials, intercepts, tmp_path / "synergy.json", "rows", 0, replicates=8, jobs=2
    )
    assert parallel["intervals"] == resumed["intervals"]


def test_contrasts_reach_the_fit_and_tests_adjusted_together_can_be_named(trials, tmp_path):
    data = trials.assign(group=np.where(pd.factorize(trials["item"])[0] % 2, "a", "b"))
    formula = "n400_uv ~ group + x + (1 | subject) + (1 | item)"
    models = tuple(
        ModelSpecification(
            name, formula, directions={"x": "negative"}, contrasts=contrasts, adjust_with=tests
        )
        for name, contrasts, tests in (("one", {"group": "sum"}, "pilot"), ("two", None, ""))
    )
    one, two = fit_models(data, models, tmp_path / "fits.json", "rows")
    assert (one["contrasts"], two["contrasts"]) == (
        {"group": "sum (a 1, b -1)"}, {"group": "treatment (reference a)"},
    )  # fmt: skip
    coded = next(value for term, value in one["coefficients"].items() if term.startswith("group"))
    plain = two["coefficients"]["group[T.b]"]
    assert -2 * coded["estimate"] == pytest.approx(plain["estimate"], rel=1e-4)  # a is +1, b is -1
    assert one["family"].endswith("of pilot")
    assert two["family"].endswith("of n400_uv")
    assert one["p_bh"]["x"] == pytest.approx(one["coefficients"]["x"]["p"])


INTERCEPTS = tuple(
    ModelSpecification(name, f"n400_uv ~ {name} + (1 | subject) + (1 | item)") for name in ("x", "z")
)


def test_entries_of_other_versions_are_fitted_anew(trials, tmp_path, monkeypatch):
    """A stored estimate that these versions did not make does not come back under their name."""
    path = tmp_path / "fits.json"
    (kept,) = fit_models(trials, INTERCEPTS[:1], path, "rows")
    planted = {**kept, "coefficients": {"x": {**kept["coefficients"]["x"], "estimate": 999.0}}}
    write_json(path, [planted])
    assert fit_models(trials, INTERCEPTS[:1], path, "rows")[0]["coefficients"]["x"]["estimate"] == 999
    synergy = SynergySpecification("n400_uv", ("x", "z"), "(1 | subject) + (1 | item)", bootstrap=0)
    estimate_synergy(trials, synergy, tmp_path / "synergy.json", "rows", 0)
    found = read_json(tmp_path / "synergy.json")
    write_json(tmp_path / "synergy.json", {**found, "r2_synergy": 999.0})
    versions = cache.versions()
    monkeypatch.setattr(cache, "versions", lambda: {**versions, "mixedlm": "9.9"})
    (again,) = fit_models(trials, INTERCEPTS[:1], path, "rows")
    assert again["coefficients"] == kept["coefficients"]
    anew = estimate_synergy(trials, synergy, tmp_path / "synergy.json", "rows", 0)
    assert anew["r2_synergy"] == found["r2_synergy"]


def test_an_interrupt_keeps_the_entries_of_later_models(trials, tmp_path):
    path = tmp_path / "fits.json"
    before = fit_models(trials, INTERCEPTS, path, "rows")
    changed = replace(INTERCEPTS[0], note="said differently")

    def interrupt(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_models(trials, (changed, INTERCEPTS[1]), path, "rows", interrupt)
    stored = read_json(path)
    assert [entry["name"] for entry in stored] == ["x", "z"]
    assert [entry["inputs"] == old["inputs"] for entry, old in zip(stored, before, strict=True)] == [
        False,
        True,
    ]


@pytest.mark.parametrize("trials, replicates", [(1, 200), (35_000, 200), (100_800, 69), (10**7, 50)])
def test_the_default_number_of_replicates_keeps_the_time(trials: int, replicates: int) -> None:
    assert default_replicates(trials) == replicates
