from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure as Canvas
from run_folder import record

from clada_neuro.artifacts import read_json, write_json, write_table
from clada_neuro.erp.overlap.shown import over_subjects
from clada_neuro.reporting import overlap, prose, waveforms
from clada_neuro.reporting.results import read_results
from clada_neuro.reporting.scalp import mapped, microvolts_up
from clada_neuro.reporting.sections import erp
from clada_neuro.reporting.waveforms import averages


@pytest.fixture(scope="module")
def results(full_folder):
    return read_results(full_folder)


def test_draws_conditions_differences_terciles_regressions_and_scalp(results):
    drawn = waveforms.figures(results)
    assert "unrelated − expected" in drawn[1].alt
    assert "each subject's condition minus the first" in drawn[1].caption
    assert [figure.name for figure in drawn] == [
        "erp_n400_conditions",
        "erp_n400_differences",
        "erp_n400_surprisal_bits",
        "rerp_n400",
        "rerp_scalp_n400",
    ]


def test_responses_that_are_no_voltages_have_no_section_of_erps(results):
    (fit,) = results.fits
    times = [record({"name": "m", "formula": "rt_ms ~ x", "response": "rt_ms"})]
    without = replace(results, erp={})
    assert [erp.of_brains(replace(without, fits=fits)) for fits in ([fit], [], times)] == [True, True, False]
    assert erp.of_brains(replace(results, fits=times))


def test_maps_need_electrodes_that_span_the_scalp():
    midline = pd.DataFrame({"x": [0.0, 0.0, 0.0], "y": [0.5, 0.0, -0.5]})
    assert not mapped(midline)
    assert not mapped(pd.DataFrame())
    assert not mapped(midline.assign(x=[0.1, None, 0.3]))
    assert mapped(midline.assign(x=[0.3, -0.2, 0.1]))


def test_lists_significant_clusters_and_keeps_all_in_the_file(results):
    clusters = waveforms.tables(results)[0]
    assert len(clusters.shown) == 1
    assert len(clusters.frame) == 2


def test_epochs_missing_stand_by_reason_and_one_by_one_in_the_file(results):
    (rejected,) = [one for one in waveforms.tables(results) if one.name == "erp_rejections"]
    assert rejected.shown.to_numpy().tolist() == [["blink", "1", "3"]]
    assert list(rejected.frame) == ["subject", "reason", "n"]


@pytest.mark.parametrize(("negative", "upside_down"), [("down", False), ("up", True)])
def test_negative_voltages_are_where_they_are_asked_for(negative, upside_down):
    axes = Canvas().add_subplot()
    axes.plot([0, 1], [-2.0, 3.0])
    microvolts_up(axes, negative)
    low, high = axes.get_ylim()
    assert (low > high) == upside_down
    curve = pd.DataFrame(
        {
            "group": "a",
            "time_s": [0.0, 0.1],
            "mean_uv": [-1.0, 2.0],
            "ci_low": [-2.0, 1.0],
            "ci_high": [0.0, 3.0],
        }
    )
    drawn = averages("n400", "", curve, pd.DataFrame(), None, negative=negative)
    assert (drawn.svg != averages("n400", "", curve, pd.DataFrame(), None).svg) == upside_down


def test_the_recording_is_described_and_its_gaps_are_named(results, tmp_path):
    (tmp_path / "erp").mkdir()
    found = {"recording": {"sampling rate": "500 Hz", "ground": None}, "gaps": ["recording: ground"]}
    write_json(tmp_path / "erp" / "recording.json", found)
    parts = erp.recording(replace(results, folder=tmp_path))
    assert parts[0] == (
        "Recording and processing: recording",
        [("sampling rate", "500 Hz"), ("ground", "not in the files")],
    )
    assert parts[1][1] == [("Fields that no file fills", "recording: ground")]
    assert not erp.recording(replace(results, folder=tmp_path / "elsewhere"))


def _overlap(folder, subjects=("01", "02", "03")):
    place = folder / "overlap"
    place.mkdir()
    fit = {
        "seconds": {"estimated from": 600.0},
        "condition": 5.2,
        "inflation": {"word/intercept": 2.5},
        "notes": ["a note"],
    }
    facts = {
        "models": [{"event": "word", "formula": "1 + center(surprisal_bits)", "tmin": -0.1, "tmax": 1.0}],
        "n_permutations": 1000,
        "notes": [],
        "subjects": dict.fromkeys(subjects, fit),
        "by_item": {"words": {"in the check": 85, "in part outside": 0, "not in the table of words": 5}},
        "seconds_used": 1800.0,
        "worst_inflation": 2.5,
        "worst_condition": 5.2,
        "outcomes": [{"stage": "regression", "event": "word", "outcome": "in the model", "n": 90}],
    }
    write_json(place / "overlap.json", facts)
    rows = [
        {
            "subject": subject,
            "event": "word",
            "predictor": predictor,
            "channel": channel,
            "time_ms": t,
            "estimate_uv": k + t / 100,
        }
        for k, subject in enumerate(subjects)
        for predictor in ("intercept", "center(surprisal_bits)")
        for channel in ("F3", "Cz")
        for t in (0.0, 10.0, 20.0)
    ]
    write_table(over_subjects(pd.DataFrame(rows)), place / "averages.parquet")
    events = {
        "subject": "01",
        "stage": "regression",
        "event": "word",
        "outcome": ["in the model", "lost"],
        "n": [90, 0],
        "shown": "",
    }
    write_table(pd.DataFrame(events), place / "events.parquet")
    columns = {
        "predictor": "word/intercept",
        "cluster": [0, 1],
        "sign": 1,
        "p": [0.01, 0.5],
        "channels": "Cz",
        "mass": np.arange(2.0),
    }
    write_table(pd.DataFrame(columns), place / "clusters.parquet")
    checked = {
        "where": ["n400_uv", "center(surprisal_bits) cluster 0"], "predictor": "center(surprisal_bits)", "b_uv": -0.4, "se": 0.1,
        "df": 19.0, "t": -4.0, "p": 0.01, "ci_low": -0.61, "ci_high": -0.19, "n_stimuli": 40, "n_items": 20, "note": ["", "optimistic"],
    }  # fmt: skip
    write_table(pd.DataFrame(checked), place / "by_item.parquet")


def _scalp(folder, windows):
    """Write maps of five electrodes: event, predictor and the start of a window, ms."""
    places = [("Cz", 0.0, 0.0), ("C3", -0.5, 0.0), ("C4", 0.5, 0.0), ("Fz", 0.0, 0.5), ("Pz", 0.0, -0.5)]
    rows = [(*window, window[2] + 200.0, *place, place[1]) for window in windows for place in places]
    columns = ["event", "predictor", "from_ms", "to_ms", "channel", "x", "y", "amplitude_uv"]
    write_table(pd.DataFrame(rows, columns=columns), folder / "overlap" / "scalp.parquet")


def test_overlapping_responses_have_lines_a_figure_and_tables(results, tmp_path):
    _overlap(tmp_path)
    found = replace(results, folder=tmp_path)
    first, *notes = overlap.lines(found)
    assert "from 30 minutes of 3 recordings" in first
    assert "2.5 times larger" in first
    assert notes == ["a note"]
    said = prose.methods(found)[-1]
    assert (
        "(Ehinger & Dimigen, 2019; Smith & Kutas, 2015; word ~ 1 + center(surprisal_bits), −100 to 1000 ms)."
        in said
    )
    assert said.endswith(
        "tested over 3 subjects by 1,000 sign permutations of clusters over time and electrodes."
    )
    assert any(work.startswith("Ehinger") for work in prose.cited(found))
    (figure,) = overlap.figures(found)
    assert "at Cz" in figure.caption
    windows = [
        ("word", name, start) for name in ("intercept", "center(surprisal_bits)") for start in (300.0, 600.0)
    ]
    _scalp(tmp_path, windows)
    _, maps = overlap.figures(found)
    assert "over the scalp: means over 3 subjects in the components' windows" in maps.caption
    clusters, by_item, events = overlap.tables(found)
    assert by_item.caption.endswith(
        "clustered over 20 items. Of 90 words shown to readers: 85 in the check, 5 not in the table of words. Optimistic."
    )
    first, second = by_item.shown.to_dict("records")
    assert first | {"95 % CI": "[−0.61, −0.19]"} == first
    assert (first["predictor"], second["where"]) == ("surprisal", "surprisal_bits cluster 0")
    assert clusters.shown["predictor"].tolist() == ["word: average response"]
    assert (len(clusters.shown), len(clusters.frame)) == (1, 2)
    assert events.shown["n"].tolist() == ["90"] or events.shown["n"].tolist() == [90]


def test_a_window_that_an_event_lacks_is_left_blank(results, tmp_path):
    """The response to a button ends before the second window; its row has one head."""
    _overlap(tmp_path)
    _scalp(
        tmp_path, [("word", "intercept", 300.0), ("word", "intercept", 600.0), ("button", "intercept", 300.0)]
    )
    _, maps = overlap.figures(replace(results, folder=tmp_path))
    assert maps.name == "overlap_scalp"


@pytest.mark.parametrize(
    ("predictor", "unit"),
    [
        ("intercept", "µV"), ("center(surprisal_bits)", "µV per bit"), ("length", "µV per character"), ("rt_ms", "µV per ms"),
        ("center(log_rt_ms)", "µV per log ms"), ("cloze", "µV per unit"),
    ],
)  # fmt: skip
def test_axes_say_the_unit_of_a_predictor(predictor, unit):
    assert overlap._unit(predictor) == unit


def test_why_there_is_no_by_item_check_is_said(results, tmp_path):
    _overlap(tmp_path)
    path = tmp_path / "overlap" / "overlap.json"
    write_json(path, read_json(path) | {"by_item": {"left_out": "too few stimuli"}})
    _, told, _ = overlap.lines(replace(results, folder=tmp_path))
    assert told == "Whether the effects hold over stimuli was not tested: too few stimuli."


def test_why_overlap_was_not_taken_apart_is_said(results, tmp_path):
    (tmp_path / "overlap").mkdir()
    write_json(tmp_path / "overlap" / "overlap.json", {"left_out": "channel Cz is flat"})
    found = replace(results, folder=tmp_path)
    assert overlap.heading(found)
    assert overlap.lines(found) == ["Overlapping responses were not taken apart: channel Cz is flat."]
    assert not overlap.figures(found)
    assert not overlap.tables(found)
    assert not overlap.heading(replace(results, folder=tmp_path / "elsewhere"))
