"""The default analysis is narrowed to what the trials can carry, and what was left out is said."""

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import DataError
from clada_neuro.stats.analysis_file import read_analysis
from clada_neuro.study.asked import Asked
from clada_neuro.study.resolve import resolve_target
from clada_neuro.study.response_files import ResponseFiles
from clada_neuro.study.target import Target

MEASURES = ("surprisal_bits", "entropy_bits", "sparsity_energy99", "length", "zipf_frequency", "position")


@pytest.fixture
def trials() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    texts = pd.DataFrame({"item": np.repeat(range(140), 2), "stimulus": [f"t{k}" for k in range(280)]})
    texts = texts.assign(**{name: rng.normal(size=280) for name in MEASURES})
    return pd.DataFrame({"subject": ["a", "b", "c"]}).merge(texts, how="cross").assign(n400_uv=0.0)


@pytest.fixture
def target(tmp_path) -> Target:
    (tmp_path / "s.csv").write_text("item,condition,sentence,critical_word\n1,a,The cat sat,cat\n")
    (tmp_path / "t.csv").write_text("subject,item,condition,n400_uv\n1,1,a,2.5\n")
    return resolve_target(tmp_path / "s.csv", ResponseFiles(tmp_path / "t.csv"))


def test_a_full_design_keeps_everything(target, trials):
    suited, lines = target.suited_to(trials)
    assert (suited.analysis, lines) == (target.analysis, [])


def test_one_text_an_item_needs_no_intercept_of_its_own(target, trials):
    suited, lines = target.suited_to(trials[trials.index % 2 == 0])
    assert lines == ["(1|stimulus) left out of models and synergy: it groups the trials exactly as item does"]
    assert suited.analysis.models[0].formula.endswith("+ position + (1|subject) + (1|item)")
    assert suited.analysis.synergy.random == "(1|subject) + (1|item)"
    assert suited.specified == target.analysis


def test_means_of_one_row_a_text_have_no_variance_between_texts(target, trials):
    means = trials.drop_duplicates("stimulus").assign(subject="mean")
    suited, lines = target.suited_to(means)
    assert lines == [
        "(1|subject) left out of models and synergy: the trials have one level of it",
        "(1|stimulus) left out of models and synergy: every trial has a level of its own",
    ]
    assert suited.analysis.models[0].formula.endswith("+ position + (1|item)")
    assert suited.analysis.synergy.random == "(1|item)"


@pytest.mark.parametrize(
    ("texts", "fixed", "lines"),
    [
        (134, "surprisal_bits + entropy_bits + sparsity_energy99 + length + zipf_frequency + position", ["no synergy of surprisal_bits and sparsity_energy99: 135 texts would carry it, there are 134"]),
        (60, "surprisal_bits + length + zipf_frequency + position", ["60 texts carry 4 predictors, one for 15 texts: sparsity_energy99, entropy_bits left out of models", "no synergy of surprisal_bits and sparsity_energy99: 135 texts would carry it, there are 60"]),
        (48, "surprisal_bits + length + zipf_frequency", ["48 texts carry 3 predictors, one for 15 texts: position, sparsity_energy99, entropy_bits left out of models", "no synergy of surprisal_bits and sparsity_energy99: 135 texts would carry it, there are 48"]),
        (8, "surprisal_bits", ["8 texts carry 1 predictor, one for 15 texts: zipf_frequency, length, position, sparsity_energy99, entropy_bits left out of models", "no synergy of surprisal_bits and sparsity_energy99: 135 texts would carry it, there are 8"]),
    ],
)  # fmt: skip
def test_the_number_of_texts_decides_how_many_predictors_there_are(target, trials, texts, fixed, lines):
    suited, said = target.suited_to(trials[trials["stimulus"].isin([f"t{k}" for k in range(texts)])])
    assert suited.analysis.models[0].formula == f"n400_uv ~ {fixed} + (1|subject) + (1|item) + (1|stimulus)"
    assert suited.analysis.synergy is None
    assert said == lines
    assert suited.analysis.models[0].directions == {"surprisal_bits": "negative"}


def test_an_analysis_of_the_users_is_followed_to_the_letter(target, trials, tmp_path):
    formula = "n400_uv ~ surprisal_bits + (1|subject) + (1|item) + (1|stimulus)"
    (tmp_path / "own.toml").write_text(f'title = "t"\n[[model]]\nname = "m"\nformula = "{formula}"\n')
    decided = resolve_target(
        tmp_path / "s.csv", ResponseFiles(tmp_path / "t.csv"), Asked.of(tmp_path / "own.toml")
    )
    suited, lines = decided.suited_to(trials[trials.index % 2 == 0])
    assert (suited.analysis, lines) == (read_analysis(tmp_path / "own.toml"), [])


def test_a_response_under_another_name_does_not_make_its_model_disappear(tmp_path):
    stimuli, trials = tmp_path / "s.csv", tmp_path / "t.csv"
    stimuli.write_text("item,condition,sentence,critical_word\n1,a,The cat sat,cat\n")
    trials.write_text("subject,item,condition,N400,p600_uv\n1,1,a,2.5,1.5\n")
    with pytest.raises(DataError, match="no n400_uv but N400; rename 'N400'"):
        resolve_target(stimuli, ResponseFiles(trials))
    chosen = resolve_target(stimuli, ResponseFiles(trials), Asked.of(component="p600"))
    assert [model.name for model in chosen.analysis.models] == ["P600"]


def test_the_name_of_a_response_counts_whatever_its_case(tmp_path):
    stimuli, trials = tmp_path / "s.csv", tmp_path / "t.csv"
    stimuli.write_text("item,condition,sentence,critical_word\n1,a,The cat sat,cat\n")
    trials.write_text("subject;item;condition;N400_uV;RT_MS\n1;1;a;2,5;NA\n2;1;a;1,5;300\n")
    found = resolve_target(stimuli, ResponseFiles(trials))
    assert [model.response for model in found.analysis.models] == ["n400_uv"]
    assert found.trials["n400_uv"].tolist() == [2.5, 1.5]
    assert found.trials.attrs["notes"] == ["column 'N400_uV' of the trials taken for n400_uv"]
    assert "N400_uV" not in found.notes[0]
    assert (
        resolve_target(stimuli, ResponseFiles(trials), Asked.of(response="log(rt_ms)"))
        .trials["rt_ms"]
        .tolist()[1]
        == 300
    )
