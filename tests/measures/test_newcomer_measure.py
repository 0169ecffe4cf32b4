"""A new measure of tokens is its declaration and its formula: traced, aggregated, lagged, described and labelled."""

from pathlib import Path

import pandas as pd
import pytest
from edited_package import edited, run_in
from tiny_models import tiny_checkpoint

from clada_neuro.artifacts import read_json, read_table

# A measure of predictions, and one of feed-forward contributions; neither is compiled.
EDITS = {
    "clada_neuro/measures/tokens.py": (
        '    Measure(\n        name="rank",\n',
        """    Measure(
        name="min_entropy_bits",
        origin=Origin.PREDICTION,
        unit="bits",
        label="min-entropy",
        meaning="surprisal of the most probable token",
        formula="−log2 max_v p(v)",
        word_rule="first",
        low=0,
        in_methods="of the next-token distribution before the word, in bits",
    ),
""",
    ),
    "clada_neuro/instrument/information.py": (
        '        "boundary": log_whole',
        '        "min_entropy_bits": log_whole,\n',
    ),
    "clada_neuro/measures/activity.py": (
        '    Measure(\n        name="overlap_prev",\n',
        """    Measure(
        name="largest_share",
        origin=Origin.CONTRIBUTIONS,
        unit="share",
        label="share of the largest contribution",
        meaning="the largest e over the sum of e",
        formula="max e / Σ e",
        word_rule="mean",
        low=0,
        high=1,
    ),
""",
    ),
    "clada_neuro/instrument/activity.py": (
        '        "overlap_prev": jaccard(',
        '        "largest_share": e.amax(dim=-1) / e.sum(dim=-1),\n',
    ),
}
DESCRIBED = """
import sys
sys.path.insert(0, "docs")
import make_measures
from clada_neuro.reporting.labels import axis, is_measure, words
from clada_neuro.reporting.prose import methods
from clada_neuro.reporting.results import read_results
print(make_measures.page())
print(axis("min_entropy_bits"), "·", words("largest_share_lag1"), "·", is_measure("largest_share"))
print(*methods(read_results(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The edited repository, and a trace that it made."""
    folder = tmp_path_factory.mktemp("measure")
    root = edited(folder / "repository", EDITS)
    tiny_checkpoint(folder / "model")
    pd.DataFrame({"sentence": ["w5 w9 w3 w70 w8", "w6 w2 w44 w8 w9 w31"]}).to_csv(
        folder / "texts.csv", index=False
    )
    asked = ["trace", folder / "texts.csv", "--model", folder / "model", "--top-k", 1]
    run_in(root, "-m", "clada_neuro", *asked, "--out", folder / "out")
    return root, folder / "out"


def test_its_values_are_in_every_table(traced: tuple[Path, Path]) -> None:
    tokens = read_table(traced[1] / "tokens.parquet").set_index(["stimulus_id", "token_index"])
    best = read_table(traced[1] / "top_k.parquet").set_index(["stimulus_id", "token_index"])["probability"]
    assert 2 ** -tokens["min_entropy_bits"].to_numpy() == pytest.approx(best.to_numpy(), rel=1e-5)
    layers = read_table(traced[1] / "layers.parquet")
    known = layers["token_index"] > 1
    assert layers.loc[known, "largest_share"].between(1 / 52, 1).all()
    means = layers.groupby(["stimulus_id", "token_index"])["largest_share"].mean()
    assert tokens["largest_share"].to_numpy() == pytest.approx(means.to_numpy(), nan_ok=True)


def test_words_have_it_by_its_rule_and_with_lags(traced: tuple[Path, Path]) -> None:
    words = read_table(traced[1] / "words.parquet")
    tokens = read_table(traced[1] / "tokens.parquet")
    for name in ("min_entropy_bits", "largest_share"):
        assert words[name].to_numpy() == pytest.approx(tokens[name].to_numpy(), nan_ok=True)
        stem = name.removesuffix("_bits")
        (lag,) = (one for one in words if one.startswith(stem) and "_lag1" in one)
        before = words.groupby("stimulus_id", sort=False)[name].shift()
        assert words[lag].to_numpy() == pytest.approx(before.to_numpy(), nan_ok=True)


def test_manifest_page_labels_and_methods_know_it(traced: tuple[Path, Path]) -> None:
    root, out = traced
    units = str(read_json(out / "manifest.json"))
    assert "min_entropy_bits" in units
    assert "largest_share" in units
    said = run_in(root, "-c", DESCRIBED, out)
    assert "| `min_entropy_bits` | min-entropy | bits | ≥ 0 |" in said
    assert "| `largest_share` | share of the largest contribution |" in said
    assert "Min-entropy (bits) · share of the largest contribution of the previous word · True" in said
    assert "min-entropy (of the next-token distribution before the word, in bits)" in said
