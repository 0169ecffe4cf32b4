"""Responses taken apart: against MNE's own regression and dense least squares, with every event and second accounted for."""

import mne
import numpy as np
import pandas as pd
import pytest
from overlap_recordings import MODELS, SFREQ, reading, recording
from scipy.sparse.linalg import lsmr

from clada_neuro.erp.overlap.events import EventModel
from clada_neuro.erp.overlap.expansion import Train, covered, gram, predict, project
from clada_neuro.erp.overlap.fit import overlap_rerp
from clada_neuro.errors import DataError, FitError
from clada_neuro.stats.splines import ns


def mnes(raw, events, bad=()):
    """The same model by `linear_regression_raw`."""
    samples = np.round(events["onset"] * SFREQ).astype(int)
    word = (events["event"] == "word").to_numpy()
    array = np.column_stack([samples, 0 * samples, np.where(word, 1, 2)])
    spans = {
        "word": (-0.1, 1.0),
        "surprisal": (-0.1, 1.0),
        "zipf": (-0.1, 1.0),
        "press": (-0.2, 0.6),
        "press zipf": (-0.2, 0.6),
    }
    covariates = {
        "surprisal": events["surprisal_bits"] * word,
        "zipf": events["zipf_frequency"] * word,
        "press zipf": events["zipf_frequency"] * ~word,
    }
    with mne.use_log_level("error"):
        return mne.stats.linear_regression_raw(
            raw, array, {"word": 1, "press": 2}, {k: a for k, (a, _) in spans.items()},
            {k: b for k, (_, b) in spans.items()}, {k: v.to_numpy() for k, v in covariates.items()},
        )  # fmt: skip


def test_waveforms_equal_mnes_regression_of_raw_data(raw, events, result):
    expected = mnes(raw, events)
    same = {
        "word/intercept": "word", "word/surprisal_bits": "surprisal", "word/zipf_frequency": "zipf",
        "press/intercept": "press", "press/zipf_frequency": "press zipf",
    }  # fmt: skip
    assert set(result.names) == set(same)
    for name, other in same.items():
        found = result.evoked(name)
        np.testing.assert_allclose(found.times, expected[other].times)
        np.testing.assert_allclose(
            found.data, expected[other].data, rtol=0, atol=1e-10 * np.abs(expected[other].data).max()
        )


def dense(events, models, n):
    """The expanded design written out, sample by sample."""
    columns = []
    for model in models:
        rows = events[events["event"] == model.event] if "event" in events else events
        samples = np.round(rows["onset"] * SFREQ).astype(int).to_numpy()
        for values in (np.ones(len(rows)), *(rows[v].to_numpy() for v in model.formula.split(" + ")[1:])):
            for lag in range(round(model.tmin * SFREQ), round(model.tmax * SFREQ) + 1):
                column = np.zeros(n)
                inside = (samples + lag >= 0) & (samples + lag < n)
                np.add.at(column, samples[inside] + lag, values[inside])
                columns.append(column)
    return np.column_stack(columns)


def test_spans_marked_bad_and_holes_are_left_out_sample_by_sample(raw, events):
    spoiled = raw.copy()
    spoiled._data[1, 700:720] = np.nan
    spoiled.set_annotations(mne.Annotations([20.0, 60.0], [3.0, 1.5], ["BAD_blink", "bad muscle"]))
    found = overlap_rerp(spoiled, events, MODELS)
    keep = np.ones(raw.n_times, bool)
    for a, b in ((700, 720), (1000, 1150), (3000, 3075)):
        keep[a:b] = False
    design = dense(events, MODELS, raw.n_times)
    near = (design != 0).any(axis=1)
    expected = np.linalg.lstsq(design[keep], np.nan_to_num(spoiled.get_data()).T[keep])[0]
    np.testing.assert_allclose(found.evoked("word/intercept").data, expected[:56].T, atol=1e-15)
    assert found.seconds == pytest.approx(
        {
            "estimated from": (keep & near).sum() / SFREQ, "annotated as bad": 4.5, "not finite": 0.4,
            "response of an event without a value": 0.0, "across a cut": 0.0, "no event near": (~near).sum() / SFREQ,
        }
    )  # fmt: skip


@pytest.mark.parametrize("first_samp", [0, 350])
def test_joined_recordings_are_as_good_as_sessions_apart(events, first_samp):
    """What an event before the cut would have done after it is not there."""
    first, second = events.iloc[:180], events.iloc[180:].assign(onset=events["onset"].iloc[180:] - 80)
    sizes = [round(part["onset"].max() * SFREQ) + 10 for part in (first, second)]
    raws = [recording(size, seed) for seed, size in enumerate(sizes)]
    raws[0] = mne.io.RawArray(raws[0].get_data(), raws[0].info, first_samp=first_samp, verbose="error")
    joined = mne.concatenate_raws([raw.copy() for raw in raws], verbose="error")
    both = pd.concat([first, second.assign(onset=second["onset"] + sizes[0] / SFREQ)])
    found = overlap_rerp(joined, both, MODELS)
    designs = [dense(part, MODELS, size) for part, size in zip((first, second), sizes, strict=True)]
    long = dense(both, MODELS, sum(sizes))
    keep = (long == np.concatenate(designs)).all(axis=1)
    assert 20 < (~keep).sum() < 120
    expected = np.linalg.lstsq(long[keep], joined.get_data().T[keep])[0]
    np.testing.assert_allclose(found.evoked("word/intercept").data, expected[:56].T, atol=1e-15)
    assert found.seconds["across a cut"] == pytest.approx((~keep).sum() / SFREQ, abs=0.05)


def test_sessions_of_a_subject_are_one_regression(events):
    first, second = events.iloc[:180], events.iloc[180:].assign(onset=events["onset"].iloc[180:] - 80)
    sizes = [round(part["onset"].max() * SFREQ) + 10 for part in (first, second)]
    raws = [recording(size, seed) for seed, size in enumerate(sizes)]
    found = overlap_rerp(raws, [first, second], MODELS)
    design = np.concatenate(
        [dense(part, MODELS, size) for part, size in zip((first, second), sizes, strict=True)]
    )
    data = np.concatenate([one.get_data().T for one in raws])
    expected = np.linalg.lstsq(design, data)[0]
    np.testing.assert_allclose(found.evoked("word/surprisal_bits").data, expected[56:112].T, atol=1e-15)


def test_the_parts_of_the_normal_equations_are_those_of_the_design_written_out():
    rng = np.random.default_rng(3)
    trains = [
        Train(np.array([-2, 4, 9, 30]), rng.normal(size=(4, 2)), -1, 6),
        Train(np.array([5, 9, 38]), rng.normal(size=(3, 1)), 2, 9),
    ]
    n, keep = 40, rng.random(40) > 0.2
    X = np.concatenate([predict(trains, unit[:, None], n) for unit in np.eye(21)], axis=1)
    assert np.array_equal(X.any(axis=1), covered(trains, n))
    y = rng.normal(size=(n, 2))
    np.testing.assert_allclose(project(trains, y), X.T @ y, atol=1e-13)
    np.testing.assert_allclose(gram(trains, keep), X[keep].T @ X[keep], atol=1e-13)
    assert X[4 - 1, 0] == trains[0].values[1, 0]
    assert X[5 + 2 + 3, 12 + 3] == trains[1].values[0, 0] + 0 * X[0, 0]


def test_an_event_that_hardly_comes_is_estimated(raw, events):
    """Most stretches of time hold none of it."""
    once = pd.concat([events, pd.DataFrame({"onset": [100.0, 102.0], "event": "cough"})])
    found = overlap_rerp(raw, once, [*MODELS, EventModel("cough", "1", 0.0, 0.5)])
    design = dense(once, [*MODELS, EventModel("cough", "1", 0.0, 0.5)], raw.n_times)
    expected = np.linalg.lstsq(design, raw.get_data().T)[0]
    np.testing.assert_allclose(found.evoked("cough/intercept").data, expected[-26:].T, atol=1e-15)


def test_nearly_dependent_columns_are_as_accurate_as_an_orthogonal_solution(raw, events):
    """Surprisal and a copy with noise of 1e-5: a condition number of 1e6, where plain normal equations lose most digits."""
    close = events.assign(
        copy=events["surprisal_bits"] + 1e-5 * np.random.default_rng(5).normal(size=len(events))
    )
    models = [EventModel("word", "1 + surprisal_bits + copy", 0, 0.3), EventModel("press", "1", 0, 0.3)]
    found = overlap_rerp(raw, close, models)
    assert found.condition > 1e5
    design = dense(close, models, raw.n_times)
    expected = np.linalg.lstsq(design, raw.get_data().T)[0]
    np.testing.assert_allclose(found.evoked("word/copy").data, expected[32:48].T, rtol=1e-6)
    iterated = lsmr(
        design / np.linalg.norm(design, axis=0),
        raw.get_data()[2],
        atol=1e-15,
        btol=1e-15,
        conlim=0,
        maxiter=100_000,
    )
    norm = np.linalg.norm(design, axis=0)[:16]
    np.testing.assert_allclose(
        found.evoked("word/intercept").data[2], iterated[0][:16] / norm, rtol=1e-4, atol=1e-9
    )


def test_natural_splines_of_a_predictor_are_shown_at_its_values(raw, events):
    found = overlap_rerp(
        raw, events, [EventModel("word", "1 + ns(zipf_frequency, 3) + surprisal_bits"), MODELS[1]]
    )
    words = events[events["event"] == "word"]
    basis = np.asarray(ns(np.r_[words["zipf_frequency"], 3.0], 3, Boundary_knots=tuple(words["zipf_frequency"].agg(["min", "max"])),
                          knots=tuple(np.quantile(words["zipf_frequency"], [1 / 3, 2 / 3]))))[-1]  # fmt: skip
    expected = found.evoked("word/intercept").data + sum(
        weight * found.evoked(f"word/ns(zipf_frequency, 3)[{k}]").data
        for k, weight in enumerate(basis, start=1)
    )
    expected = expected + words["surprisal_bits"].mean() * found.evoked("word/surprisal_bits").data
    np.testing.assert_allclose(found.predicted("word", {"zipf_frequency": 3.0}).data, expected, atol=1e-15)


def test_splines_over_time_are_the_best_curves_of_their_kind(raw, events):
    """Least squares on the design times the basis, B-splines evaluated by de Boor's recursion in SciPy."""
    from scipy.interpolate import BSpline

    models = [EventModel("word", "1 + surprisal_bits", splines=8), EventModel("press", "1", -0.2, 0.6)]
    found = overlap_rerp(raw, events, models)
    seconds = np.arange(-5, 51) / SFREQ
    knots = np.r_[[-0.1] * 3, np.linspace(-0.1, 1.0, 6), [1.0] * 3]
    basis = np.column_stack([BSpline(knots, unit, 3)(seconds) for unit in np.eye(8)])
    X = dense(events, models, raw.n_times)
    design = np.column_stack([X[:, :56] @ basis, X[:, 56:112] @ basis, X[:, 112:]])
    expected = np.linalg.lstsq(design, raw.get_data().T)[0]
    np.testing.assert_allclose(
        found.evoked("word/surprisal_bits").data, (basis @ expected[8:16]).T, atol=1e-14
    )


def test_events_are_counted_with_the_reason_of_those_left_out(raw, events):
    holes = events.copy()
    first = holes.index[holes["event"] == "word"][10]
    holes.loc[first, "surprisal_bits"] = np.nan
    late = pd.DataFrame(
        {"onset": [raw.times[-1] + 5, 20.0], "event": ["press", "cough"], "zipf_frequency": 4.0}
    )
    found = overlap_rerp(raw, pd.concat([holes, late]), MODELS)
    n_words, n_press = (events["event"] == "word").sum(), (events["event"] == "press").sum()
    assert found.events.to_records(index=False).tolist() == [
        ("word", "in the model", n_words - 1),
        ("word", "surprisal_bits is missing", 1),
        ("press", "in the model", n_press),
        ("press", "outside, or in spans left out", 1),
        ("cough", "no model for this type", 1),
    ]
    assert found.seconds["response of an event without a value"] == pytest.approx(56 / SFREQ)


def test_the_table_is_microvolts_with_intervals(result):
    table = result.table()
    row = table[
        (table["event"] == "word") & (table["predictor"] == "surprisal_bits") & (table["channel"] == "Pz")
    ].iloc[25]
    assert row["time_ms"] == pytest.approx(400)
    assert row["estimate_uv"] == pytest.approx(
        1e6 * result.evoked("word/surprisal_bits").get_data("Pz")[0, 25]
    )
    assert row["se_uv"] == pytest.approx(
        1e6 * result.standard_error("word/surprisal_bits").get_data("Pz")[0, 25]
    )
    assert row["ci_low_uv"] < row["estimate_uv"] < row["ci_high_uv"]


def test_standard_errors_of_white_noise_are_those_of_least_squares(raw, events, result):
    design = dense(events, MODELS, raw.n_times)
    _, rss, *_ = np.linalg.lstsq(design, raw.get_data().T)
    near = (design != 0).any(axis=1).sum()
    classic = np.sqrt(rss / (near - design.shape[1]) * np.linalg.inv(design.T @ design).diagonal()[:56, None])
    ratio = result.standard_error("word/intercept").data.T / classic
    assert np.sqrt((ratio**2).mean()) == pytest.approx(1, abs=0.1)


def test_types_at_a_fixed_distance_cannot_be_told_apart(raw, events):
    off = events.assign(onset=events["onset"] + 0.3, event="offset")
    both = pd.concat([events.assign(event="word"), off])
    with pytest.raises(FitError, match=r"has rank \d+ of 112: offset/intercept \(\S+ to 700 ms\) cannot be told apart from "
                                       r"word/intercept \(.* to 1000 ms\)"):  # fmt: skip
        overlap_rerp(raw, both, [EventModel("word"), EventModel("offset")])


def test_a_type_that_copies_another_is_named_as_a_whole(raw, events):
    both = pd.concat([events.assign(event="word"), events.assign(event="copy")])
    with pytest.raises(
        FitError,
        match=r"^subject '7': the expanded design has rank 56 of 112: copy/intercept \(-100 to 1000 ms\) cannot be told apart from word",
    ):
        overlap_rerp(raw, both, [EventModel("word"), EventModel("copy")], who="subject '7'")


def test_at_a_fixed_interval_only_predictors_that_vary_are_known_well():
    n = 400
    even = reading(n).assign(onset=0.4 + 0.5 * np.arange(n), event="word")
    found = overlap_rerp(recording(25 * n + 100), even, [EventModel("word", "1 + center(surprisal_bits)")])
    assert found.inflation["word/intercept"] > 30
    assert found.inflation["word/center(surprisal_bits)"] < 2
    (line,) = [note for note in found.notes if "overlap makes the variance" in note]
    assert "word/intercept" in line
    assert "condition number" in line


def test_a_lag_at_a_fixed_interval_is_the_predictor_at_a_later_moment():
    """The last word's later response lies outside the recording, so nothing tells the two apart."""
    n = 300
    even = reading(n).assign(onset=0.1 + 0.5 * np.arange(n), event="word")
    even["surprisal_bits_lag1"] = even["surprisal_bits"].shift(fill_value=0.0)
    raw = recording(round((even["onset"].max() + 0.4) * SFREQ))
    model = EventModel("word", "0 + surprisal_bits + surprisal_bits_lag1")
    with pytest.raises(
        FitError, match=r"word/surprisal_bits_lag1 \(.*cannot be told apart from word/surprisal_bits \("
    ):
        overlap_rerp(raw, even, [model])
    assert np.isfinite(
        overlap_rerp(raw, even, [model], ridge=True).evoked("word/surprisal_bits_lag1").data
    ).all()


def test_ridge_takes_the_penalty_that_predicts_held_out_time_best(raw, events):
    """Pure noise is shrunken as far as the grid goes; a strong response hardly at all."""
    strong = raw.copy()
    shape = np.hanning(30)[:, None] * [1.0, 2.0, 3.0, 1.0] * 1e-3
    for sample in np.round(events["onset"] * SFREQ).astype(int):
        strong._data[:, sample : sample + 30] += shape.T
    assert overlap_rerp(raw, events, MODELS, ridge=True).penalty == 10
    found = overlap_rerp(strong, events, MODELS, ridge=True)
    assert found.penalty < 1e-2
    peak = found.evoked("word/intercept").get_data("Pz")[0, 5 + 15]
    assert peak == pytest.approx(3e-3, rel=0.05)
    assert any("shrunken" in note for note in found.notes)


def test_a_recording_too_short_for_a_penalty_is_named(raw, events):
    short = events[events["onset"] < 18.0]
    with pytest.raises(DataError, match=r"^subject '7': too short to hold out stretches of time"):
        overlap_rerp(raw.copy().crop(0, 20.0), short, MODELS, ridge=True, who="subject '7'")


def test_slow_drifts_are_no_unit_error(raw, events):
    drifting = raw.copy()
    drifting._data += 0.005 * np.linspace(0, 1, raw.n_times) ** 2
    assert np.isfinite(overlap_rerp(drifting, events, MODELS).condition)


def test_factors_are_shown_at_a_level(raw, events):
    both = events.assign(first=np.arange(len(events)) % 2 == 0)
    found = overlap_rerp(raw, both, [EventModel("word", "1 + first"), MODELS[1]])
    np.testing.assert_allclose(
        found.predicted("word", {"first": True}).data,
        found.evoked("word/intercept").data + found.evoked(found.names[1]).data,
        atol=1e-15,
    )
    with pytest.raises(DataError, match="'first' is a factor; name the level"):
        found.predicted("word")


def test_a_bad_channel_holds_nothing_up(raw, events, result):
    spoiled = raw.copy()
    spoiled._data[1] = np.nan
    spoiled.info["bads"] = ["Cz"]
    found = overlap_rerp(spoiled, events, MODELS)
    np.testing.assert_array_equal(
        found.evoked("word/intercept").data[[0, 2, 3]], result.evoked("word/intercept").data[[0, 2, 3]]
    )
    assert set(found.table()["channel"]) == {"Fz", "Pz", "Oz"}
