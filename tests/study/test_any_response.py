"""Responses of any name: which models are run, and the whole way to the report with a model of two layers."""

import re

import numpy as np
import pandas as pd
import pytest
from command_line import clada
from tiny_models import tiny_checkpoint

from clada_neuro import artifacts
from clada_neuro.errors import DataError, FitError
from clada_neuro.responses.response import is_response, response_of
from clada_neuro.study.asked import Asked
from clada_neuro.study.decide import decide_on, default_for
from clada_neuro.study.resolve import resolve_target
from clada_neuro.study.response_files import ResponseFiles

CONTROLS = "surprisal_bits + entropy_bits + sparsity_energy99 + length + zipf_frequency + position"
GROUPS = "(1|subject) + (1|item) + (1|stimulus)"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Texts of seven words, each read word by word by eight people: times, answers, pupils; and a model."""
    folder, rng = tmp_path_factory.mktemp("desk"), np.random.default_rng(0)
    tiny_checkpoint(folder / "model")
    texts, trials = [], []
    for item in range(12):
        for condition in "ab":
            words = " ".join(f"w{number}" for number in rng.integers(2, 97, 7))
            texts.append({"item": item, "condition": condition, "sentence": words})
            for person in range(8):
                for place in range(7):
                    time = 5000 if (person, place) == (0, 0) else int(300 + rng.gamma(2, 60))
                    trials.append([f"s{person}", item, condition, place, time])
    pd.DataFrame(texts).to_csv(folder / "texts.csv", index=False)
    frame = pd.DataFrame(trials, columns=["Subj", "ItemNum", "Cond", "word_index", "RT"])
    frame.to_csv(folder / "usual.csv", index=False)
    frame.columns = ["subject", "item", "condition", "word_index", "rt_ms"]
    frame["accuracy"], frame["pupil_mm"] = rng.integers(0, 2, len(frame)), rng.normal(3, 0.3, len(frame))
    frame["onset_ms"] = 400 * frame["word_index"]
    frame.to_csv(folder / "trials.csv", index=False)
    return folder


@pytest.fixture
def went(desk, tmp_path, capsys):
    def run(*options, trials="trials.csv"):
        out = tmp_path / "out"
        asked = (
            "run",
            desk / "texts.csv",
            "--trials",
            desk / trials,
            "--model",
            desk / "model",
            "--out",
            out,
        )
        done = clada(capsys, *asked, "--jobs", 1, *options)
        assert done.code == 0, done.err
        page = (out / "report.html").read_text(encoding="utf-8")
        text = re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL))
        fits = {fit["name"]: fit for fit in artifacts.read_json(out / "fits.json")}
        return done, fits, artifacts.read_json(out / "manifest.json"), re.sub(r"\s+", " ", text)

    return run


def test_usual_names_and_a_time_need_no_option_and_all_is_said(went):
    done, fits, manifest, text = went(trials="usual.csv")
    assert "the default explains RT (reading times)" in done.err
    for column, name in (("Subj", "subject"), ("ItemNum", "item"), ("Cond", "condition")):
        assert f"column '{column}' of the trials taken for {name}" in done.err
        assert f"column '{column}' of the trials taken for {name}" in manifest["notes"]
    assert fits["RT"]["specified"] == f"RT ~ {CONTROLS} + surprisal_bits_lag1 + {GROUPS}"
    assert fits["RT"]["n_dropped"] == 12 * 2 * 8  # a first word has no word before it
    assert manifest["analysis"] == {"kind": "default", "name": "default"}
    assert "µV" not in text
    assert "reading times" in text


def test_responses_are_named_and_rows_chosen_and_counted(went):
    done, fits, manifest, text = went(
        "--response", "log(rt_ms)", "--response", "accuracy", "--where", "rt_ms > 100 & rt_ms < 3000"
    )  # fmt: skip
    assert list(fits) == ["log(rt_ms)", "accuracy"]
    assert fits["log(rt_ms)"]["directions"] == {"surprisal_bits": "positive"}
    assert "surprisal_bits_lag1" not in fits["accuracy"]["formula"]
    assert "differences of its probability" in fits["accuracy"]["note"]
    (step,) = manifest["exclusions"]
    assert (step["rows_removed"], step["rows_after"]) == (24, 12 * 2 * 56 - 24)
    assert "24 of 1,344 trials left out: not where rt_ms > 100 & rt_ms < 3000" in done.err
    assert any("rt_ms > 100 & rt_ms < 3000" in line for line in manifest["departures"])
    assert "log ms" in text
    assert "24 rows were removed before analysis" in text


def test_formulas_take_the_place_of_an_analysis(went):
    spill = "log(rt_ms) ~ surprisal_bits + surprisal_bits_lag1 + (1|subject) + (1|stimulus)"
    pupils = ("--formula", "pupil_mm ~ surprisal_bits + (1|subject)", "--where", "rt_ms < 3000")
    _, fits, manifest, text = went("--formula", spill, *pupils)
    assert {name: fit["formula"] for name, fit in fits.items()} == {
        "log(rt_ms)": spill, "pupil_mm": "pupil_mm ~ surprisal_bits + (1|subject)",
    }  # fmt: skip
    assert fits["pupil_mm"]["standardized"]
    assert manifest["analysis"]["kind"] == "formula"
    assert manifest["departures"] == []  # the condition is as much of what was asked for as the formulas are
    assert "formulas given with the run" in text
    assert "Nothing differs from the analysis as specified" in text
    assert "pupil sizes" in text


def test_amplitudes_of_a_table_may_bring_any_covariate_in_microvolts(desk, went):
    frame, rng = pd.read_csv(desk / "trials.csv"), np.random.default_rng(1)
    frame["baseline_uv"], frame["n400_uv"] = rng.normal(0, 3, len(frame)), rng.normal(0, 5, len(frame))
    frame.to_csv(desk / "amplitudes.csv", index=False)
    formula = "n400_uv ~ baseline_uv + surprisal_bits + (1|subject) + (1|stimulus)"
    _, fits, _, text = went("--formula", formula, trials="amplitudes.csv")
    assert fits["n400_uv"]["formula"] == formula
    assert "µV" in text


def table(**columns):
    keys = {"subject": ["a", "b"], "item": ["1", "1"], "condition": ["x", "x"]}
    return pd.DataFrame(keys | columns)


def test_the_analysis_that_is_given_decides_also_beside_a_dummy_amplitude(desk, tmp_path):
    frame = pd.read_csv(desk / "trials.csv").assign(n400_uv=0.5)
    frame.to_csv(tmp_path / "t.csv", index=False)
    analysis = tmp_path / "a.toml"
    analysis.write_text('title = "t"\n[[model]]\nname = "m"\nformula = "log(rt_ms) ~ surprisal_bits"\n')
    target = resolve_target(desk / "texts.csv", ResponseFiles(tmp_path / "t.csv"), Asked.of(analysis))
    assert [model.response for model in target.analysis.models] == ["log(rt_ms)"]
    assert target.decided_by == {"kind": "file", "name": str(analysis)}


def test_amplitudes_are_explained_as_before_and_others_named():
    trials = table(n400_uv=[1.0, 2.0], rt_ms=[300.0, 400.0])
    analysis, _, default = decide_on(Asked(), trials, "'t.csv'")
    assert default
    assert [model.response for model in analysis.models] == ["n400_uv"]
    assert analysis.synergy.response == "n400_uv"


def test_a_time_at_one_word_a_text_has_no_spill_over_and_no_synergy():
    analysis = default_for(table(rt_ms=[300.0, 400.0]), ["rt_ms"], "'t.csv'")
    (model,) = analysis.models
    assert model.formula == f"rt_ms ~ {CONTROLS} + {GROUPS}"
    assert analysis.synergy is None


def test_a_reciprocal_time_falls_with_surprisal():
    (model,) = default_for(table(rt_ms=[300.0, 400.0]), ["1000/rt_ms"], "'t.csv'").models
    assert model.directions == {"surprisal_bits": "negative"}


@pytest.mark.parametrize(
    ("columns", "asked", "message"),
    [
        ({"rating": [1, 2]}, {}, r"no column that is known as a response.*--response, of the columns of numbers: rating"),
        ({"rating": [1, 2]}, {"response": "ratng"}, r"'t.csv' has no ratng \(did you mean 'rating'\?\) but rating"),
        ({"rating": ["low", "high"]}, {"response": "rating"}, "'rating' is to be explained but holds text"),
        ({"N400": [1.0, 2.0]}, {}, r"no n400_uv but N400; rename 'N400' \(--trial-column n400_uv=N400\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_explained_is_one_line(columns, asked, message):
    with pytest.raises(DataError, match=message):
        decide_on(Asked.of(**asked), table(**columns), "'t.csv'")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"formula": "rt_ms ~ 1", "response": "rt_ms"},
            DataError,
            "leave --analysis, --response and --component out",
        ),
        ({"component": "n400", "response": "rt_ms"}, DataError, "--component n400 is --response n400_uv"),
    ],
)
def test_one_way_to_say_it(options, error, message):
    with pytest.raises(error, match=message):
        Asked.of(**options)


def test_a_unit_that_is_not_known_is_said(desk, tmp_path):
    pd.read_csv(desk / "trials.csv").rename(columns={"rt_ms": "rt_s"}).to_csv(tmp_path / "t.csv", index=False)
    found = resolve_target(
        desk / "texts.csv", ResponseFiles(tmp_path / "t.csv"), Asked.of(response=["log(rt_s)", "pupil_mm"])
    )
    (note,) = found.notes
    assert note.startswith("rt_s: the unit 's' is not known, so its numbers stand without one")


def test_a_formula_is_no_response():
    with pytest.raises(FitError, match="give it as --formula"):
        Asked.of(response="rt_ms ~ surprisal_bits")


@pytest.mark.parametrize("name", ["n400_uv", "P600_uV", "rt_ms", "RT", "first_pass_ms", "reading_time"])
def test_known_as_a_response(name):
    assert is_response(name)


@pytest.mark.parametrize(
    "name", ["n400_baseline_uv", "onset_ms", "soa_ms", "rating", "item", "trial_start_ms"]
)
def test_not_known_as_a_response(name):
    assert not is_response(name)


def test_pupils_are_larger_and_smaller():
    found = response_of("pupil_mm")
    assert (found.axis, found.toward(1)) == ("Pupil size (mm)", "larger")


def test_the_first_items_of_trials_that_name_no_stimulus_id(desk):
    target = resolve_target(desk / "texts.csv", ResponseFiles(desk / "trials.csv"), limit=3)
    assert (len(target.stimuli), len(target.trials)) == (6, 6 * 56)
