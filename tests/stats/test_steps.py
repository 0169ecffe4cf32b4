"""Nested models decided in advance: what builds on what, what is left out, and what a file must not say."""

import re
from pathlib import Path

import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.analysis_file import read_analysis
from clada_neuro.stats.departures import departures
from clada_neuro.stats.steps import LadderSpecification, StepSpecification
from clada_neuro.study.asked import Asked

SHIPPED = Path(__file__).parents[2] / "data" / "analyses" / "human.toml"
STEPS = (
    StepSpecification("surprisal", ("surprisal_bits",)),
    StepSpecification("curve", ("I(surprisal_bits ** 2)",), over="surprisal"),
    StepSpecification("cloze", ("cloze",), optional=True),
    StepSpecification("surprisal beyond cloze", ("surprisal_bits",), over="cloze", optional=True),
    StepSpecification("sparsity", ("sparsity",), over="surprisal"),
)


def ladder(**given) -> LadderSpecification:
    return LadderSpecification(
        **{
            "name": "n400", "target": "mine", "response": "n400_uv", "controls": ("length",), "random": "(1 | subject) + (1 | item)",
            "fold": "item", "steps": STEPS, **given,
        }
    )  # fmt: skip


def test_each_step_extends_the_model_that_it_is_over():
    models = {
        step.name: (step.smaller, step.added)
        for step in ladder().models(["surprisal_bits", "sparsity", "cloze"])
    }
    assert models == {
        "surprisal": (("length",), ("surprisal_bits",)),
        "curve": (("length", "surprisal_bits"), ("I(surprisal_bits ** 2)",)),
        "cloze": (("length",), ("cloze",)),
        "surprisal beyond cloze": (("length", "cloze"), ("surprisal_bits",)),
        "sparsity": (("length", "surprisal_bits"), ("sparsity",)),
    }


def test_optional_steps_and_those_over_them_are_left_out_where_a_column_is_missing():
    assert [step.name for step in ladder().taken(["surprisal_bits"])] == ["surprisal", "curve", "sparsity"]


def test_the_fullest_model_holds_each_predictor_once_and_nothing_that_may_be_absent():
    plain = ladder()
    assert plain.fullest == "n400_uv ~ length + surprisal_bits + sparsity + (1 | subject) + (1 | item)"
    assert ladder(slopes=("surprisal_bits",)).fullest.endswith(
        "+ (1 + surprisal_bits | subject) + (1 | item)"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"steps": (*STEPS, STEPS[0])}, "two steps are called 'surprisal'"),
        ({"steps": (StepSpecification("a", ("x",), over="b"),)}, "is over 'b', which no step before it is called"),
        ({"steps": (STEPS[2], StepSpecification("a", ("x",), over="cloze"))}, "then it must be optional, too"),
        ({"steps": (StepSpecification("a", ()),)}, "step 'a' adds no term"),
        ({"steps": (StepSpecification("../a", ("x",)),)}, "a name of letters, digits, underscores and spaces"),
        ({"slopes": ("surprisal_bits",), "random": "(1 | item)"}, "no (1 | subject) stands in random"),
        ({"directions": {"cloz": "positive"}}, "direction of 'cloz' given, which no step adds (did you mean 'cloze'?)"),
        ({"directions": {"cloze": "up"}}, "direction 'up' of cloze given"),
    ],
)  # fmt: skip
def test_what_makes_no_ladder_is_refused(given, said):
    with pytest.raises(FitError, match=re.escape(said)):
        ladder(**given)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[[ladder]]\nname = \"devarda2023_p600_over_n400\"", "[[ladder]]\nname = \"devarda2023_p600\"", "two ladders are called"),
        ("controls = [", "control = [", "[[ladder]] 1: unknown entry 'control' (did you mean 'controls'?)"),
        ("bootstrap = 200", "bootstrap = \"200\"", "bootstrap = '200' given, a whole number expected"),
        ("bootstrap = 200", "steps = [\"surprisal\"]", "write each as a table [[step]]"),
        ("over = \"surprisal\"", "over = \"surprisl\"", "(did you mean 'surprisal'?)"),
        ("[[step]]", "[[stepp]]", "unknown entry 'stepp' (did you mean 'step'?)"),
        ("folds = 10", "models = 10", "unknown entry 'models' (did you mean 'model'?)"),
    ],
)  # fmt: skip
def test_a_wrong_file_of_ladders_ends_in_one_line_that_names_the_place(old, new, said, tmp_path):
    text = SHIPPED.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "own.toml"
    path.write_text(text.replace(old, new, 1 if old != "[[step]]" else -1), encoding="utf-8")
    with pytest.raises(FitError, match=re.escape(said)) as caught:
        read_analysis(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_run_does_not_climb_it_says(tmp_path):
    with pytest.raises(FitError, match="`clada-neuro synergy human --analysis FILE` climbs ladders"):
        Asked.of(analysis=SHIPPED)
    lines = departures(read_analysis(SHIPPED), [], language_models=["smollm2"])
    assert [line for line in lines if "ladder 'nieuwland2018_n400' was specified but not climbed" in line]


def test_the_shipped_steps_are_those_of_the_paper_and_cloze_where_it_was_measured():
    analysis = read_analysis(SHIPPED)
    columns = ["surprisal_bits", "surprisal_bits_lag1", "sparsity_energy99", "adjustment_prev", "cloze"]
    for one in analysis.ladders:
        models = {step.name: step for step in one.models(columns)}
        for name in ("sparsity_energy99", "adjustment_prev"):
            surprisal = (*one.controls, "surprisal_bits", "surprisal_bits_lag1")
            curved = (*surprisal, name, "I(surprisal_bits ** 2)", f"I({name} ** 2)")
            product = models[f"surprisal x {name}"]
            assert (product.smaller, product.added) == (curved, (f"surprisal_bits:{name}",))
        assert list(models)[-3:] == ["cloze", "surprisal beyond cloze", "cloze beyond surprisal"]
        assert len(one.models(columns[:-1])) == len(models) - 3
