"""The section on layers: what passes in the family, what was chosen out of sight, and profiles as the record has them."""

import msgspec
import pytest
from layers_record import FORMULA, layer, profile_entry

from clada_neuro.artifacts import write_json
from clada_neuro.records.depth import DepthRecord, ProfileFacts
from clada_neuro.reporting import layers, prose
from clada_neuro.reporting.results import read_results
from clada_neuro.reporting.sections import depth


@pytest.fixture
def entry():
    return profile_entry()


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
    rows = [layer(number, 0.5, p) for number, p in enumerate((0.5, 0.01, 0.02, 0.03, 0.2, 0.04))]
    rows = [row | {"as_expected": False} for row in rows]
    profile = msgspec.convert(entry | {"profile": rows}, ProfileFacts)
    assert layers.passing(profile, "lens_surprisal_bits") == "1–3, 5"
    assert layers.found(profile).endswith(", where the registered direction was negative).")
    assert depth.family(profile).shown.loc[0, "registered_sign"] == "negative, found otherwise"


def test_a_predictor_has_no_gain_over_itself(entry):
    none = {"heldout_final": None, "heldout_final_se": None}
    entry["profile"][1] |= none
    entry["choice"][0] |= none
    profile = msgspec.convert(entry, ProfileFacts)
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
        "of surprisal (surprisal from the layer), with the same rows and random effects: 2 models of 1,200 trials in "
        f"{FORMULA}."
    )
    assert "held-out items (10 folds)" in methods
    assert any(work.startswith("Westfall") for work in prose.cited(results))
    (said,) = prose.results_paragraphs(results)
    assert said.startswith("N400, by layer. 1 of 2 models pass in the family")


def test_a_run_without_layers_has_no_such_section(full_folder):
    without = read_results(full_folder)
    assert not depth.present(without)
    assert not any("which layer" in text for text in prose.methods(without))
