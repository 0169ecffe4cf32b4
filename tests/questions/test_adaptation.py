"""The adaptation models on made-up tokens: planted effects are found, shuffled ones are not."""

import json

import numpy as np
import pandas as pd
import pytest

from clada_neuro.instrument.sequences import KINDS, Measured
from clada_neuro.questions.adaptation import analyze, token_rows
from clada_neuro.questions.adaptation_page import adaptation_answer
from clada_neuro.questions.corpus import read_corpus
from clada_neuro.questions.settings import AdaptationSettings

VOCABULARY, LAYERS = 50, 3
SETTINGS = AdaptationSettings(sequences=20, scored=40, bootstrap=50, pooled=5)
LOG_FREQUENCY = np.log2(np.full(VOCABULARY, 1 / VOCABULARY)) + np.linspace(-1, 1, VOCABULARY)
MODEL = {"model": "none", "dtype": "float32", "start_token": "none"}


def made_up(effect: float, seed: int) -> Measured:
    rng = np.random.default_rng(seed)
    length = SETTINGS.scored + 2
    tokens = pd.DataFrame(
        {
            "sequence": np.repeat(np.arange(SETTINGS.sequences), length),
            "position": np.tile(np.arange(1, length + 1), SETTINGS.sequences),
        }
    )
    tokens["token_id"] = rng.integers(VOCABULARY, size=len(tokens))
    for name in ("surprisal_bits", "entropy_bits", "sparsity_energy99"):
        tokens[name] = rng.standard_normal(len(tokens))
    signal = effect * (tokens["surprisal_bits"] + 0.5 * tokens["surprisal_bits"] * tokens["entropy_bits"])
    layers = pd.concat(
        [
            tokens[["sequence", "position", "sparsity_energy99"]].assign(
                layer=layer, adjustment_prev=signal * (layer > 0) + rng.standard_normal(len(tokens))
            )
            for layer in range(LAYERS)
        ],
        ignore_index=True,
    )
    layers.loc[layers["position"] == 1, "adjustment_prev"] = np.nan
    mean = layers.groupby(["sequence", "position"])["adjustment_prev"].mean().to_numpy()
    return Measured(tokens.assign(adjustment_prev=mean, overlap_prev=0.5), layers)


@pytest.fixture(scope="module")
def found():
    measured = {kind: made_up(1.0 if kind == "natural" else 0.0, seed) for seed, kind in enumerate(KINDS)}
    return analyze(measured, LOG_FREQUENCY, SETTINGS)


def test_planted_signals_are_found_only_where_they_are(found):
    part = found.models.set_index(["sequences", "model"])["part_signals"]
    # Var(signal mean) = (2/3)² · 1.25; noise of a mean over three layers = 1/3
    assert part["natural", "signals alone"] == pytest.approx(5 / 9 / (5 / 9 + 1 / 3), abs=0.06)
    assert part["natural", "primary"] == pytest.approx(part["natural", "signals alone"], abs=0.03)
    for kind in ("unigram", "uniform", "shuffled signals"):
        assert part[kind, "primary"] < 0.02


def test_intervals_of_the_part_hold_its_estimate(found):
    rows = found.models.loc[found.models["sequences"] == "natural"]
    assert ((rows["part_low"] < rows["part_signals"]) & (rows["part_signals"] < rows["part_high"])).all()


def test_layers_without_the_effect_show_none(found):
    surprisal = found.curve.loc[found.curve["term"] == "surprisal_bits"].set_index("layer")["estimate"]
    assert abs(surprisal[0]) < 0.15
    assert surprisal[1] == pytest.approx(1, abs=0.15)
    assert found.curve["family_size"].eq(3 * LAYERS).all()


def test_controls_come_from_the_same_sequence():
    tokens = made_up(0.0, 5).tokens
    rows = token_rows(tokens, LOG_FREQUENCY)
    assert rows["position"].min() == 3
    assert not rows.isna().any().any()
    first = rows.query("sequence == 1 and position == 3").iloc[0]
    before = tokens.query("sequence == 1 and position == 2").iloc[0]
    assert first["surprisal_lag1"] == before["surprisal_bits"]
    assert first["adjustment_lag1"] == before["adjustment_prev"]
    assert first["log_prefix"] == pytest.approx(np.log2(3))


def test_the_page_stands_beside_the_published_figure(found, tmp_path):
    settings = {"corpus": "xsum", "scored": SETTINGS.scored}
    page = adaptation_answer(found, MODEL, settings).write(tmp_path).read_text(encoding="utf-8")
    assert "the published figure is 0.17" in page
    assert "lies above that of unigram, uniform and shuffled signals" in page
    assert {path.name for path in tmp_path.iterdir()} >= {
        "adaptation_parts.png",
        "adaptation_layers.png",
        "models.csv",
        "layers.csv",
        "levels.csv",
    }


def test_articles_come_without_the_task_around_them(tmp_path, monkeypatch):
    article = {
        "article": "###\nArticle: Rain fell.\n\nIt stopped.\n\nSummarize the above article in 1 sentence.\n"
    }
    (tmp_path / "xsum_0shot.jsonl").write_text(json.dumps(article) + "\n", encoding="utf-8")
    monkeypatch.setattr("clada_neuro.questions.corpus.datasets.path", lambda name: tmp_path)
    assert read_corpus("xsum") == ["Rain fell.\n\nIt stopped."]
