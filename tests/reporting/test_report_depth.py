"""The section on layers: what passes in the family, what was chosen out of sight, and profiles as the record has them."""

import pytest

from clada_neuro.artifacts import write_json
from clada_neuro.records.depth import DepthRecord
from clada_neuro.reporting.results import read_results
from clada_neuro.reporting.sections import depth

GAINS = {
    "heldout_baseline": 0.001,
    "heldout_baseline_se": 0.0005,
    "heldout_final": -0.002,
    "heldout_final_se": 0.001,
}
OWN = {"mean": 5.0, "sd": 2.0, "r_final": 0.5, "se": 0.2, "t": -2.5, "loglik": -9.0, "delta_loglik_per_trial": 0.001}  # fmt: skip


def _layer(layer, estimate, p):
    limits = {
        "ci_low": estimate - 0.4,
        "ci_high": estimate + 0.4,
        "expected": "negative",
        "as_expected": True,
    }
    own = {"measure": "lens_surprisal_bits", "layer": layer, "estimate": estimate, "converged": True}
    return {**own, **OWN, **GAINS, **limits, "p_family": p}


@pytest.fixture
def entry():
    final = {"measure": "surprisal_bits", "layer": None, "estimate": -0.6, "converged": True, **OWN}
    final |= {"heldout_baseline": 0.001, "heldout_baseline_se": 0.0005}
    chosen = {
        "measure": "lens_surprisal_bits",
        "fold": 0,
        "chosen_measure": "lens_surprisal_bits",
        "layer": 1,
    }
    return {
        "name": "N400", "response": "n400_uv", "formula": "n400_uv ~ surprisal_bits", "baseline": "n400_uv ~ 1",
        "replaces": "surprisal_bits", "n_obs": 1200, "n_groups": {"item": 30}, "n_words": 60, "n_stimuli": 60, "n_family": 2,
        "singular": False, "critical_t": 2.0, "confidence": 0.95, "replicates": 99, "n_failed": 1, "folds": 10, "fold": "item",
        "n_items": 30, "seed": 0, "notes": ["a note"], "final": final, "profile": [_layer(0, -0.1, 0.5), _layer(1, -0.5, 0.01)],
        "choice": [{"measure": "lens_surprisal_bits", "layers": "1 (×10)", **GAINS}], "chosen": [chosen],
    }  # fmt: skip


def test_the_section_tells_what_passes_and_draws_the_profile(entry, tmp_path):
    document = {"schema": 1, "settings": {}, "entries": [entry], "notes": ["other is left out"]}
    write_json(tmp_path / "depth.json", document)
    write_json(tmp_path / "fits.json", [])
    results = read_results(tmp_path)
    assert isinstance(results.depth, DepthRecord)
    part, points = depth.blocks(results)
    (profile,) = results.depth.entries
    assert depth.found(profile).startswith(
        "1 of 2 pass in the family: lens_surprisal_bits of layer 1, b = -0.500"
    )
    assert "1,200 trials, 60 words" in depth.methods(profile)
    assert "99 responses drawn" in depth.methods(profile)
    _, figure, _, choice = part.blocks
    assert "layer 1" in figure.alt
    assert choice.frame["gain_over_surprisal_bits"].tolist() == [-2.0]
    assert "no evidence for its own layer" in choice.caption
    assert points.texts == ["other is left out", "a note"]


def test_a_run_without_layers_has_no_such_section(full_folder):
    assert not depth.present(read_results(full_folder))
