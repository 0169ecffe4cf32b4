"""The prefix models on made-up similarities, and the pairs they come from."""

from dataclasses import asdict
from itertools import product

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import DataError
from clada_neuro.instrument.sequences import KINDS, Corpus
from clada_neuro.questions.prefix import analyze, draw_pairs, layouts, stretches
from clada_neuro.questions.prefix_page import _left_out, prefix_answer
from clada_neuro.questions.settings import PrefixSettings

SETTINGS = PrefixSettings(pairs=160, position=36, distances=(4, 2), bootstrap=100)
MODEL = {"model": "none", "dtype": "float32", "start_token": "none"}
VOCABULARY = 400


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    rng = np.random.default_rng(0)
    documents = list(rng.integers(VOCABULARY, size=(400, SETTINGS.position + 1)))
    return Corpus(
        documents, np.bincount(np.concatenate(documents), minlength=VOCABULARY), np.arange(VOCABULARY)
    )


def test_lengths_are_powers_of_two_up_to_the_whole_prefix():
    assert [stretches(layout) for layout in layouts(SETTINGS)] == [
        (0, 1, 2, 4, 8, 16, 32, 34),
        (0, 1, 2, 4, 8, 16, 32),
    ]


@pytest.mark.parametrize("layout", layouts(SETTINGS), ids=lambda layout: f"distance {layout.distance}")
@pytest.mark.parametrize("kind", KINDS)
def test_each_sequence_is_in_one_pair_and_chance_agreement_is_counted(corpus, kind, layout):
    design, first, second = draw_pairs(kind, layout, corpus, SETTINGS)
    assert len(design) == len(first) == len(second) == SETTINGS.pairs - design["n_chance"].iloc[0]
    assert design["pair"].is_unique
    assert len(np.unique(first, axis=0)) == len(first)
    assert set(design["distance"]) == {layout.distance}
    parting = layout.parting
    for row, one, other in zip(design.itertuples(), first, second, strict=True):
        assert (one[parting - row.shared : parting] == other[parting - row.shared : parting]).all()
        assert (one[parting:-1] != other[parting:-1]).all()
        assert (one[-1] == other[-1]) == (row.target == "same")


def made_up(corpus: Corpus, slope: float) -> pd.DataFrame:
    """Similarity that grows with the shared length in natural text alone, and only near the parting."""
    rng, parts = np.random.default_rng(1), []
    for layout, kind in product(layouts(SETTINGS), KINDS):
        design, _, _ = draw_pairs(kind, layout, corpus, SETTINGS)
        grows = slope * (kind == "natural" and layout.distance == 2) * np.log2(1 + design["shared"])
        value = 0.3 + 0.2 * (design["target"] == "same") + grows + rng.normal(0, 0.05, len(design))
        for layer in (0, 1):
            change = 0.1 if layer else -0.1
            parts.append(design.assign(layer=layer, cosine=value + change, jaccard=value / 2 + change))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def found(corpus):
    return analyze(made_up(corpus, 0.02), SETTINGS)


def test_a_planted_slope_is_found_in_its_kind_and_distance_only(found):
    rows = found.coefficients.set_index(["distance", "measure", "kind", "term"]).sort_index()
    for target in ("same", "other"):
        natural = rows.loc[(2, "cosine", "natural", f"shared_{target}")]
        assert natural["estimate"] == pytest.approx(0.02, abs=0.01)
        assert natural["boot_low"] > 0
        for place in ((2, "cosine", "uniform"), (4, "cosine", "natural")):
            assert abs(rows.loc[(*place, f"shared_{target}"), "estimate"]) < 0.01
    assert rows.loc[(2, "cosine", "all", "log_shared:kind[T.uniform]"), "estimate"] == pytest.approx(
        -0.02, abs=0.01
    )


def test_layers_are_averaged_before_and_kept_beside(found):
    assert found.pairs["pair"].is_unique
    by_layer = found.layers.pivot_table(
        index=["distance", "kind", "target", "shared"], columns="layer", values="cosine_mean"
    )
    np.testing.assert_allclose(by_layer[1] - by_layer[0], 0.2)


def test_the_shared_length_has_its_own_part_of_r2(found):
    part = found.models.set_index(["distance", "measure", "kind"])
    assert part.loc[(2, "cosine", "natural"), "part_low"] > 0.02
    assert part.loc[(2, "cosine", "uniform"), "part_shared"] < 0.03


def test_the_page_says_where_similarity_grows(found, tmp_path):
    prefix_answer(found, MODEL, asdict(SETTINGS)).write(tmp_path)
    page = (tmp_path / "prefix.md").read_text(encoding="utf-8")
    shown = page.split("### Cosine, with each doubling")[1].split("Slopes of")[0].splitlines()
    natural = [line for line in shown if line.startswith("- **natural")]
    assert len(natural) == 2
    assert all(line.endswith("grows at distance 2, not shown at distance 4") for line in natural)
    assert {path.name for path in tmp_path.iterdir()} >= {"prefix_2_same.png", "cells.csv", "models.csv"}


def test_pairs_left_out_are_counted_for_each_kind_and_distance(found):
    left = found.pairs.groupby(["kind", "distance"])["n_chance"].first()
    facts = dict(_left_out(found.cells, SETTINGS.pairs).pairs)
    assert facts == {
        f"Left out, {kind}": f"{left[kind, 2]} at distance 2, {left[kind, 4]} at distance 4" for kind in KINDS
    }


def test_a_distance_past_the_position_is_refused():
    with pytest.raises(DataError, match="distance 64 and position 64"):
        PrefixSettings(distances=(4, 64))
