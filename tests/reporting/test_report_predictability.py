"""The section on forms of predictability: each form once, in words, with its gains; a run without it has none."""

import pytest

from clada_neuro.artifacts import write_json
from clada_neuro.reporting.results import read_results
from clada_neuro.reporting.sections import predictability


def form(name: str, formula: str, gain: float) -> dict:
    return {
        "form": name, "formula": formula, "mean": 5.0, "sd": 2.0, "r_surprisal": 0.9, "estimate": -0.61, "se": 0.2, "loglik": -9.0,
        "delta_loglik_per_trial": 0.001, "heldout_none": gain, "heldout_none_se": 0.0005, "heldout_surprisal": gain - 0.001,
        "heldout_surprisal_se": 0.0004, "converged": True,
    }  # fmt: skip


@pytest.fixture
def results(tmp_path):
    entry = {
        "name": "N400", "response": "n400_uv", "formula": "n400_uv ~ surprisal_bits + (1|item)", "n_obs": 1200, "n_items": 30,
        "folds": 10, "fold": "item", "seed": 0, "notes": ["cloze is left out"],
        "forms": [
            form("surprisal_bits", "s", 0.001),
            form("minus_root_probability", "−√p", 0.00125),
            form("cloze", "", 0.0005),
        ],
    }  # fmt: skip
    write_json(
        tmp_path / "predictability.json", {"schema": 1, "entries": [entry], "notes": ["P600 is left out"]}
    )
    write_json(tmp_path / "fits.json", [])
    return read_results(tmp_path)


def test_the_section_shows_each_form_with_its_gains(results):
    part, where, notes = predictability.blocks(results)
    methods, figure, table = part.blocks
    assert "1,200 rows" in methods.text
    assert "10 folds of 30" in methods.text
    assert "largest gain over none is that of −√probability, +1.25 (SE 0.50)" in figure.alt
    assert table.shown["form"].tolist() == ["surprisal", "−√probability", "cloze probability"]
    assert table.shown["gain_over_surprisal"].tolist() == ["0.00", "0.25", "−0.50"]
    assert table.shown["b"].tolist() == ["−0.61"] * 3
    assert notes.texts == ["P600 is left out", "cloze is left out"]
    assert "predictability.csv" in str(where.text)


def test_a_run_without_it_has_no_section(tmp_path):
    write_json(tmp_path / "fits.json", [])
    found = read_results(tmp_path)
    assert not list(predictability.blocks(found))
    assert not predictability.SECTION.shown(found)
