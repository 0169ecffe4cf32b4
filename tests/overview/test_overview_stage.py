"""Counts, means, distributions and bins of the data, against values known by hand or from numpy and pandas alone."""

import numpy as np
import pandas as pd
import pytest

from clada_neuro.artifacts import write_json, write_table
from clada_neuro.overview import counts, distributions, raw
from clada_neuro.overview.policy import under_policy
from clada_neuro.overview.stage import OverviewStage, overview
from clada_neuro.records.fits import FitRecord
from clada_neuro.records.overview import OverviewRecord

LINE = [{"x": [0.0], "estimate": [0.0], "ci_low": [0.0], "ci_high": [0.0]}]


def fit(response: str = "y", **given) -> FitRecord:
    known = {"name": "m", "formula": f"{response} ~ x", "response": response, "coefficients": {}, "n_obs": 1}
    return FitRecord.of({**known, "schema": FitRecord.CURRENT, **given})


def test_bins_hold_equally_many_trials():
    trials = pd.DataFrame({"x": np.arange(100.0), "y": np.arange(100.0) * 2})
    (found,) = raw.binned([fit(effects={"x": LINE}), fit(effects={"x": LINE})], trials)
    assert (found["response"], found["predictor"], found["n"]) == ("y", "x", 100)
    assert found["x"].tolist() == [4.5 + 10 * k for k in range(10)]
    assert found["y"].tolist() == [9.0 + 20 * k for k in range(10)]


def test_an_interaction_is_binned_in_thirds_of_the_second_predictor():
    x, by = np.tile(np.arange(30.0), 3), np.repeat([1.0, 2.0, 3.0], 30)
    trials = pd.DataFrame({"x": x, "by": by, "y": x * by})
    found = raw.binned([fit(effects={"x:by": LINE * 3})], trials)
    assert [(one["third"], one["n"]) for one in found] == [(0, 30), (1, 30), (2, 30)]
    for factor, one in enumerate(found, start=1):
        assert one["x"].tolist() == [2.0 + 5 * k for k in range(6)]
        assert one["y"].tolist() == [factor * (2.0 + 5 * k) for k in range(6)]


def test_stimuli_are_averaged_over_the_trials_that_have_both_values():
    trials = pd.DataFrame(
        {"stimulus": list("aabb"), "x": [1.0, 1.0, 2.0, np.nan], "y": [1.0, 3.0, 5.0, 99.0]}
    )
    found = raw.stimulus_means([fit(effects={"x": LINE})], trials)
    assert found.to_numpy().tolist() == [["y", "x", 1.0, 2.0], ["y", "x", 2.0, 5.0]]


def test_a_share_that_was_counted_is_binned_as_a_share():
    trials = pd.DataFrame({"x": np.arange(10.0), "hit": ["true", "false"] * 5})
    counted = fit("hit", effects={"x": LINE}, link="logit", response_family="binomial")
    (found,) = raw.binned([counted], trials)
    assert set(found["y"]) == {0.0, 1.0}


def test_levels_of_factors_and_cells_of_two_have_means_over_subjects():
    trials = pd.DataFrame(
        {"subject": list("aaaabbbb"), "A": list("xxyy") * 2, "B": list("pqpq") * 2, "y": np.arange(8.0)}
    )
    coefficient = {"estimate": 0.0, "se": 1.0, "p": 1.0, "ci_low": -1.0, "ci_high": 1.0}
    terms = ("A[T.y]", "A[T.y]:B[T.q]", "A[T.y]:z")
    one, two = raw.by_levels([fit(coefficients=dict.fromkeys(terms, coefficient))], trials)
    assert [(cell["cell"], cell["mean"], cell["n"]) for cell in one["cells"]] == [
        ({"A": "x"}, 2.5, 2),
        ({"A": "y"}, 4.5, 2),
    ]
    assert [cell["mean"] for cell in two["cells"]] == [2.0, 3.0, 4.0, 5.0]


def test_boxes_are_quartiles_with_whiskers_at_values():
    words = pd.DataFrame({"condition": ["a"] * 9 + ["b"], "surprisal_bits": [*np.arange(8.0), 100.0, 1.0]})
    (found,) = distributions.of_words(words)
    box = found["boxes"][0]
    assert [box[name] for name in ("low", "q1", "median", "q3", "high")] == [0.0, 2.0, 4.0, 6.0, 7.0]
    assert found["n"] == sum(found["histogram"]["counts"]) == 10


def test_layers_have_quartiles_over_tokens():
    layers = pd.DataFrame(
        {"layer": [0] * 5 + [1] * 5, "sparsity_energy99": [*np.arange(5.0), *np.arange(5.0) * 2]}
    )
    (found,) = distributions.of_layers(layers)
    assert [list(found[name]) for name in ("q1", "median", "q3")] == [[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]]


def test_a_policy_is_counted_at_the_tokens_at_which_it_decided():
    tokens = pd.DataFrame(
        {
            "stimulus_id": ["s"] * 2 + ["t"] * 20, "ffn_sparsity": [0.0, 0.0] + [0.5] * 20,
            "load": [np.nan] * 2 + list(range(20)), "kl_dense_bits": [0.0] * 2 + [2.0] * 20,
            "reanalysis_event": [None] * 2 + [False] * 19 + [True], "reanalysis_action": [None] * 2 + [False] * 20,
        }
    )  # fmt: skip
    found = under_policy(tokens)
    assert [found[name] for name in ("n_tokens", "n_decided", "n_events", "n_actions", "text")] == [
        22,
        20,
        1,
        0,
        "t",
    ]
    assert (found["sparsity"], found["kl_dense_bits"]) == (0.5, 2.0)
    assert found["by_load"][0]["load"].tolist() == [0.5 + 2 * k for k in range(10)]
    assert sum(found["events_by_load"]["counts"]) == 1
    assert under_policy(tokens.head(2)) is None
    # where only rows of attention were left out, too
    of_attention = tokens.assign(linear_sparsity=tokens["ffn_sparsity"] / 2, ffn_sparsity=0.0)
    found = under_policy(of_attention)
    assert [found[name] for name in ("share", "n_decided", "sparsity")] == ["linear_sparsity", 20, 0.25]
    assert found["by_load"][0]["measure"] == "linear_sparsity"


def test_conditions_are_counted_in_texts_and_in_trials():
    stimuli = pd.DataFrame(
        {"stimulus_id": ["1", "2", "3"], "item": ["1", "1", "2"], "condition": ["a", "b", "a"]}
    )
    trials = pd.DataFrame({"condition": ["a", "a"], "subject": ["x", "x"], "stimulus": ["1", "3"]})
    assert counts.conditions(stimuli, trials) == [
        {"condition": "a", "texts": 2, "items": 2, "trials": 2, "stimuli": 2, "subjects": 1},
        {"condition": "b", "texts": 1, "items": 1, "trials": 0, "stimuli": 0, "subjects": 0},
    ]
    assert counts.conditions(stimuli.drop(columns="condition"), pd.DataFrame()) == []


@pytest.mark.parametrize("tables", [{}, {"trials": pd.DataFrame({"y": [None, None], "x": [1.0, 2.0]})}])
def test_little_is_an_overview_too(tables):
    found = OverviewRecord.of(OverviewRecord.checked(overview(tables, [fit(effects={"x": LINE})])))
    assert found.binned == found.words == found.conditions == []


def test_the_stage_looks_at_a_folder_and_takes_away_what_is_of_other_tables(tmp_path):
    write_json(tmp_path / "fits.json", [])
    OverviewStage().into(tmp_path)
    assert not (tmp_path / "overview.json").exists()
    trials = pd.DataFrame({"subject": ["a", "b"], "n400_uv": [1.0, 2.0]})
    write_table(trials, tmp_path / "trials.parquet")
    OverviewStage().into(tmp_path)
    found = OverviewRecord.read(tmp_path / "overview.json")
    assert (found.n_trials, found.groups, found.responses[0].n) == (2, {"subject": 2}, 2)
    (tmp_path / "trials.parquet").unlink()
    OverviewStage().into(tmp_path)
    assert not (tmp_path / "overview.json").exists()
