import pandas as pd
import pytest

from clada_neuro.reporting import waveforms
from clada_neuro.reporting.results import read_results


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
    assert not waveforms._mapped(midline)
    assert not waveforms._mapped(pd.DataFrame())
    assert not waveforms._mapped(midline.assign(x=[0.1, None, 0.3]))
    assert waveforms._mapped(midline.assign(x=[0.3, -0.2, 0.1]))


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
