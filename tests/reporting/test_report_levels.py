import copy
import json
import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from run_folder import record

from clada_neuro.overview.stage import overview
from clada_neuro.records.overview import OverviewRecord
from clada_neuro.reporting import effects, levels, prose
from clada_neuro.reporting.blocks import Headed, Section
from clada_neuro.reporting.figures import draw
from clada_neuro.reporting.page_tables import means_by_condition, table
from clada_neuro.reporting.registry import named_apart
from clada_neuro.reporting.results import read_results
from clada_neuro.reporting.sections import conditions
from clada_neuro.reporting.text import NBSP

RAW = {"se": 0.2, "df": 20.0, "t": -4.0, "p": 0.001, "ci_low": -1.2, "ci_high": -0.4}


def one(estimate: float, **changed) -> dict:
    return {**RAW, "estimate": estimate, **changed}


@pytest.fixture
def factor() -> dict:
    return {
        "name": "N400", "formula": "n400_uv ~ Condition + (1|subject)", "reml": True, "standardized": {},
        "coefficients": {"(Intercept)": one(1.0), "Condition[T.incorrect]": one(-0.8)},
        "levels": {"Condition": ["correct", "incorrect"]},
    }  # fmt: skip


def text(fit: dict, term: str) -> str:
    return prose.effect(record(fit), term).replace(NBSP, " ")


def test_a_level_is_compared_with_the_reference(factor):
    assert effects.reported_terms(record(factor)) == ["Condition[T.incorrect]"]
    assert text(factor, "Condition[T.incorrect]").startswith(
        "N400 amplitudes were more negative for Condition incorrect than for correct, b = −0.80 µV,"
    )
    factor["coefficients"]["Condition[T.incorrect]"]["p"] = 0.4
    assert text(factor, "Condition[T.incorrect]").startswith(
        "There was no reliable difference in N400 amplitudes between Condition incorrect and correct, b"
    )


def test_sum_coding_is_compared_with_the_average(factor):
    factor |= {
        "formula": "rt_ms ~ C(cond, contr.sum)",
        "coefficients": {"C(cond, contr.sum)[S.a]": one(12.0)},
    }
    assert text(factor, "C(cond, contr.sum)[S.a]").startswith(
        "Reading times were longer for cond a than for the average of the levels, b = 12.00 ms,"
    )


def test_an_interaction_with_a_level_is_a_difference_of_effects(factor):
    term = "surprisal_bits:Condition[T.incorrect]"
    factor["coefficients"][term] = one(-0.8)
    assert text(factor, term).startswith(
        "The effect of surprisal on N400 amplitudes was more negative for Condition incorrect than for correct"
    )


def test_a_model_without_measures_and_factors_speaks_of_every_term():
    fit = {"coefficients": {"(Intercept)": one(1.0), "length": one(1.0), "I(length ** 2)": one(1.0)}}
    assert effects.reported_terms(record(fit)) == ["length"]


def test_a_factor_is_drawn_by_its_levels(factor, full_folder):
    rows = pd.DataFrame(
        {
            "subject": list("aabb"),
            "Condition": ["correct", "incorrect"] * 2,
            "n400_uv": [1.0, -1.0, 3.0, -2.0],
        }
    )
    shown = OverviewRecord.of(OverviewRecord.checked(overview({"trials": rows}, [record(factor)])))
    (drawn,) = effects.figures(record(factor), replace(read_results(full_folder), overview=shown))
    assert "correct 2.00 µV" in drawn.alt
    assert "incorrect −1.50 µV [−7.85, 4.85]" in drawn.alt  # t.ppf(.975, 1) * 0.5


def test_measures_and_responses_stand_by_condition(full_folder):
    results = read_results(full_folder)
    found = means_by_condition(results)
    assert set(found.frame["measure"]) >= {"surprisal_bits", "n400_uv"}
    row = found.frame.set_index(["measure", "condition"]).loc[("n400_uv", "expected")]
    trials = results.tables["trials"]
    by_subject = trials[trials["condition"] == "expected"].groupby("subject")["n400_uv"].mean()
    assert row["mean"] == pytest.approx(by_subject.mean())
    assert row["n"] == 10
    assert "t intervals" in found.caption


def test_each_response_is_drawn_by_condition_before_the_table(full_folder):
    drawn, table = conditions.blocks(read_results(full_folder))
    assert drawn.name == "conditions_n400_uv"
    first = table.frame.iloc[0]
    assert (first["measure"], first["condition"]) == ("n400_uv", "expected")
    told = f"expected {first['mean']:.2f} µV [{first['ci_low']:.2f}, {first['ci_high']:.2f}]".replace(
        "-", "−"
    )
    assert told in drawn.alt
    assert "to all words" not in drawn.caption


def test_means_by_condition_stand_in_the_order_of_the_stimuli_and_say_which_words_they_are_of(full_folder):
    results = read_results(full_folder)
    trials = results.tables["trials"].assign(is_critical=lambda rows: rows["item"] != "3")
    counted = list(reversed(results.overview.conditions))
    other = OverviewRecord.of(results.overview.row() | {"conditions": [one.row() for one in counted]})
    changed = replace(results, tables={**results.tables, "trials": trials}, overview=other)
    drawn, table = conditions.blocks(changed)
    shown = table.frame.loc[table.frame["measure"] == "n400_uv", "condition"]
    assert shown.tolist() == ["unrelated", "related", "expected"]
    for caption in (drawn.caption, table.caption):
        assert "Responses are to all words that were measured" in caption


def test_long_names_leave_room_and_nothing_warns(full_folder):
    fit = copy.deepcopy(json.loads((full_folder / "fits.json").read_text())[0])
    name = (
        "surprisal_bits:sparsity_energy99:adjustment_prefix:condition[T.semantically anomalous continuation]"
    )
    fit["coefficients"][name] = fit["coefficients"]["surprisal_bits"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert effects.coefficients(record(fit)).svg


def test_ticks_of_a_narrow_range_do_not_touch():
    seen = {}

    def paint(axes):
        axes.plot(0.81234 + np.arange(3) * 1e-5, [0, 1, 2])
        axes.xaxis.get_major_formatter().set_useOffset(False)
        seen["axes"] = axes

    draw("narrow", "", "", paint, (3.0, 2.0))
    seen["axes"].figure.draw_without_rendering()
    low, high = seen["axes"].get_xlim()
    labels = [label for label in seen["axes"].get_xticklabels() if low <= label.get_position()[0] <= high]
    boxes = [label.get_window_extent() for label in labels]
    assert len(boxes) > 1
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_two_tables_with_one_name_are_two_files():
    twins = [table("coefficients_a_b", "first", [{"x": 1}]), table("coefficients_a_b", "second", [{"x": 2}])]
    (section,) = named_apart([Section("s", "S", [Headed("", twins)])])
    assert [part.name for part in section.leaves] == ["coefficients_a_b", "coefficients_a_b_2"]


def test_an_effect_within_an_interaction_says_where_it_holds():
    names = ["surprisal_bits", "condition[T.odd]", "surprisal_bits:condition[T.odd]", "length"]
    fit = {
        "coefficients": dict.fromkeys(names, one(1.0)),
        "levels": {"condition": ["plain", "odd"]},
        "standardized": {"surprisal_bits": {"mean": 0.0, "sd": 1.0}},
    }
    assert levels.held(record(fit), "surprisal_bits") == " for condition plain"
    assert levels.held(record(fit), "condition[T.odd]") == " at average surprisal"
    assert levels.held(record(fit), "surprisal_bits:condition[T.odd]") == ""
    assert levels.held(record(fit), "length") == ""
    summed = {
        **fit,
        "coefficients": dict.fromkeys(["x", "c[S.a]", "x:c[S.a]", "x:z"], one(1.0)),
        "standardized": {},
    }
    assert levels.held(record(summed), "x") == " averaged over the levels of c and where z is 0"
