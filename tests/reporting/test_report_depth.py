"""The section on layers: what passes in the family, what was chosen out of sight, and profiles as the record has them."""

import msgspec
import pytest

from clada_neuro.artifacts import write_json
from clada_neuro.records.depth import DepthRecord, Profile
from clada_neuro.reporting import layers, prose
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
    return {**own, **OWN, **GAINS, **limits, "p_family": p, "t": 5 * estimate}


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


@pytest.fixture
def results(entry, tmp_path):
    document = {"schema": 1, "settings": {}, "entries": [entry], "notes": ["other is left out"]}
    write_json(tmp_path / "depth.json", document)
    write_json(tmp_path / "fits.json", [])
    return read_results(tmp_path)


def test_the_section_tells_what_passes_and_draws_the_profile(results):
    assert isinstance(results.depth, DepthRecord)
    part, tables, points = depth.blocks(results)
    (profile,) = results.depth.entries
    said = layers.found(profile).replace("\u00a0", " ")
    assert said == (
        "1 of 2 models pass in the family (|t| beyond 2.00): surprisal from the layer (layer 1; largest |t| in layer 1, b = −0.50, "
        "95% CI [−0.90, −0.10], p = .010)."
    )
    assert "1,200 trials, 60 words" in depth.methods(profile)
    assert "99 responses drawn" in depth.methods(profile)
    _, found, figure, family, _, choice = part.blocks
    assert found.text.replace("\u00a0", " ") == said
    assert "layer 1" in figure.alt
    assert family.shown.loc[0, ["layers_that_pass", "registered_sign"]].tolist() == [
        "1",
        "negative, as found",
    ]
    assert family.shown.loc[0, "b"] == "−0.50 [−0.90, −0.10]"
    assert choice.frame["gain_over_surprisal_bits"].tolist() == [-2.0]
    assert "no evidence for its own layer" in choice.caption
    assert "tables/depth_*.csv" in {getattr(piece, "text", piece) for piece in tables.text}
    assert points.texts == ["other is left out", "a note"]


def test_layers_that_pass_are_told_as_runs_and_a_sign_found_otherwise_is_named(entry):
    rows = [_layer(layer, 0.5, p) for layer, p in enumerate((0.5, 0.01, 0.02, 0.03, 0.2, 0.04))]
    rows = [row | {"as_expected": False} for row in rows]
    profile = msgspec.convert(entry | {"profile": rows}, Profile)
    assert layers.passing(profile, "lens_surprisal_bits") == "1–3, 5"
    assert layers.found(profile).endswith(", where the registered direction was negative).")
    assert depth.family(profile).shown.loc[0, "registered_sign"] == "negative, found otherwise"


def test_a_predictor_has_no_gain_over_itself(entry):
    none = {"heldout_final": None, "heldout_final_se": None}
    entry["profile"][1] |= none
    entry["choice"][0] |= none
    profile = msgspec.convert(entry, Profile)
    table = depth.choice(profile)
    assert table.shown["gain_over_surprisal_bits"].tolist() == ["—"]
    assert table.caption.endswith("—: what was chosen is surprisal_bits itself, over which it has no gain.")
    assert layers.chosen(profile).endswith(
        "(1 (×10)), gains 1.00 (SE 0.50) thousandths of a nat a trial over the model without surprisal, and is that predictor itself."
    )
    assert depth.figure(profile).png


def test_the_paper_says_how_layers_were_tested_and_what_was_found(results):
    methods = prose.methods(results)[-1].replace("\u00a0", " ")
    assert methods.startswith(
        "To ask which layer of the language model speaks to the responses, one measure of one layer at a time stood in place "
        "of surprisal (surprisal from the layer), with the same rows and random effects: 2 models of 1,200 trials in n400_uv ~ surprisal_bits."
    )
    assert "held-out items (10 folds)" in methods
    assert any(work.startswith("Westfall") for work in prose.cited(results))
    (said,) = prose.results_paragraphs(results)
    assert said.startswith("N400, by layer. 1 of 2 models pass in the family")


def test_a_run_without_layers_has_no_such_section(full_folder):
    without = read_results(full_folder)
    assert not depth.present(without)
    assert not any("which layer" in text for text in prose.methods(without))
