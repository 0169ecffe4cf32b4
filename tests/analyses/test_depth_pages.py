"""Pages of `analyses/24_depth_pages.py` say what the record holds, and no more."""

import pytest
from analysis_scripts import load

from clada_neuro.errors import DataError

pages = load("24_depth_pages")


def _row(layer, p, expected):
    gains = {
        "heldout_baseline": 0.001,
        "heldout_baseline_se": 0.0005,
        "heldout_final": -0.002,
        "heldout_final_se": 0.001,
    }
    b = {"estimate": -0.5 + layer, "ci_low": -1.0 + layer, "ci_high": 0.0 + layer, "p_family": p}
    return {"measure": "lens_surprisal_bits", "layer": layer, "expected": expected, **b, **gains}


def _entry():
    rows = [_row(0, 0.04, None), _row(1, 0.06, "negative")]
    return {
        "response": "n400_uv", "replaces": "surprisal_bits", "formula": "n400_uv ~ surprisal_bits", "baseline": "n400_uv ~ 1",
        "n_obs": 1200, "n_words": 60, "n_items": 30, "n_family": 2, "confidence": 0.95, "critical_t": 2.1, "replicates": 99, "seed": 0, "language_model": "tiny",
        "n_failed": 0, "fold": "item", "folds": 10, "profile": rows, "choice": [{**rows[0], "layers": "0 (x9), 1 (x1)"}],
    }  # fmt: skip


def test_only_what_passes_in_the_family_is_listed_with_its_registered_sign():
    text = pages.page("simulated", _entry())
    assert "1,200 trials of 60 words in 30 items" in text
    assert "Beyond the critical |t|: 1 of 2" in text
    assert "| lens_surprisal_bits | 0 | -0.500 | [-1.000, 0.000] | 0.040 | none registered |" in text
    assert "0.060" not in text
    assert "| lens_surprisal_bits | 0 (x9), 1 (x1) | +1.00 (0.50) | -2.00 (1.00) |" in text


def test_the_figure_draws_estimates_and_gains_of_every_measure():
    above, below = pages.figure(_entry()).axes
    assert list(above.lines[0].get_ydata()) == [-0.5, 0.5]
    assert [list(line.get_ydata()) for line in below.lines[:2]] == [[1.0, 1.0], [-2.0, -2.0]]


def test_a_folder_without_the_analysis_is_told(tmp_path):
    with pytest.raises(DataError, match=r"no depth\.json"):
        pages.read(tmp_path)
