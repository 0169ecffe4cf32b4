import pandas as pd
import pytest
from matplotlib.figure import Figure as Canvas

from clada_neuro.reporting import waveforms
from clada_neuro.reporting.results import read_results
from clada_neuro.reporting.scalp import mapped, microvolts_up
from clada_neuro.reporting.waveforms import averages


@pytest.fixture(scope="module")
def results(full_folder):
    return read_results(full_folder)


def test_draws_terciles_regressions_and_scalp(results):
    assert [figure.name for figure in waveforms.figures(results)] == [
        "erp_n400_surprisal_bits",
        "rerp_n400",
        "rerp_scalp_n400",
    ]


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


def test_counts_epochs_by_reason():
    rejected = pd.DataFrame(
        {"subject": ["a", "b", "b"], "reason": ["blink", "blink", "drift"], "n": [2, 3, 1]}
    )
    assert waveforms._by_reason(rejected).to_numpy().tolist() == [["blink", "2", "5"], ["drift", "1", "1"]]
    assert waveforms._by_reason(rejected.drop(columns="n"))["epochs"].tolist() == ["2", "1"]


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
