"""The section on encoding: every kind of vectors in one figure, its best layer in the table, and a run without it has none."""

import pytest

from clada_neuro.artifacts import write_json
from clada_neuro.reporting.results import read_results
from clada_neuro.reporting.sections import encoding


def score(vectors: str, layer: int | None, r: float, p_family: float | None = None) -> dict:
    return {"vectors": vectors, "layer": layer, "r": r, "se": 0.05, "p": 0.02, "p_family": p_family}


@pytest.fixture
def results(tmp_path):
    scores = [
        score("states", 0, 0.2, 0.3),
        score("states", 1, 0.4, 0.005),
        score("next word", 0, 0.1),
        score("covariates", None, 0.35),
    ]
    entry = {
        "response": "n400_uv", "n_trials": 1200, "n_words": 100, "n_items": 50, "n_subjects": 12, "ceiling": 0.9,
        "ceiling_low": 0.85, "ceiling_high": 0.93, "scores": scores, "notes": ["3 of 103 words lack a response"],
        "chosen": {"r": 0.38, "se": 0.04, "p": 0.005, "layers": [1, 1, 0]},
    }  # fmt: skip
    document = {
        "schema": 1, "settings": {"folds": 3, "shuffles": 200}, "model": "tiny", "entries": [entry], "notes": [],
    }  # fmt: skip
    write_json(tmp_path / "encoding.json", document)
    write_json(tmp_path / "fits.json", [])
    return read_results(tmp_path)


def test_the_section_tells_what_was_done_and_shows_each_kind_once(results):
    part, where, notes = encoding.blocks(results)
    methods, figure, best, chosen = part.blocks
    assert "100 words (1,200 trials of 12 subjects" in methods.text
    assert "exchange of items, 200 times" in methods.text
    assert "noise ceiling 0.90" in figure.caption
    assert "States are best in layer 1, r = 0.40" in figure.alt
    assert best.frame["vectors"].tolist() == [
        "states of the model",
        "states of the next word",
        "position, length, frequency, surprisal",
    ]
    assert best.frame["layer"].tolist() == ["1", "0", ""]
    assert best.frame["p"].tolist() == [0.005, 0.02, 0.02]
    assert "(1, 1, 0) scores r = 0.38 (SE 0.04, p = .005)" in chosen.text
    assert "tables/encoding.csv" in {getattr(piece, "text", piece) for piece in where.text}
    assert notes.texts == ["3 of 103 words lack a response"]


def test_a_run_without_it_has_no_section(tmp_path):
    write_json(tmp_path / "fits.json", [])
    found = read_results(tmp_path)
    assert found.encoding is None
    assert not list(encoding.blocks(found))
    assert not encoding.SECTION.shown(found)
