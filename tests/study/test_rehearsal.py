"""What an analysis names wrongly is refused before the model runs, with the row that the user's file shows."""

import numpy as np
import pandas as pd
import pytest
from tiny_models import tiny_checkpoint

from clada_neuro import align, fit, read_stimuli, trace
from clada_neuro.errors import CladaNeuroError, FitError
from clada_neuro.responses.trials import read_trials
from clada_neuro.study.asked import Asked
from clada_neuro.study.rehearsal import rehearse, stand_ins
from clada_neuro.study.resolve import resolve_target
from clada_neuro.study.response_files import ResponseFiles
from clada_neuro.study.run import run

NOUNS = ["cup", "lamp", "road", "boat", "horse", "shoe"]
# Which kind of model will run is not known yet: masked ones have these in place of predictions.
OF_MASKED = {f"pseudo_surprisal_bits{lag}" for lag in ("", "_lag1", "_lag2")}
FORMULA = "rt_ms ~ surprisal_bits + (1|subject)"


def texts(**more) -> pd.DataFrame:
    rows = [
        {
            "item": at + 1,
            "condition": name,
            "sentence": f"She {verb} the {noun} there.",
            "critical_word": noun,
        }
        for at, noun in enumerate(NOUNS)
        for name, verb in (("far", "saw"), ("near", "held"))
    ]
    return pd.DataFrame(rows).assign(**more)


def times() -> pd.DataFrame:
    table = texts()[["item", "condition"]].merge(pd.DataFrame({"subject": ["a", "b", "c"]}), how="cross")
    return table.assign(rt_ms=[300 + 7 * (at * at % 31) for at in range(len(table))])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("model"))


@pytest.fixture
def study(tmp_path, checkpoint):
    def refused(trials=None, analysis="", **options) -> str:
        """Return what a study is refused with, and see that nothing was computed for it."""
        texts().to_csv(tmp_path / "stimuli.csv", index=False)
        (times() if trials is None else trials).to_csv(tmp_path / "trials.csv", index=False)
        if analysis:
            (tmp_path / "analysis.toml").write_text(f'title = "times"\n{analysis}')
            options |= {"analysis": tmp_path / "analysis.toml"}
        place = tmp_path / "out"
        with pytest.raises(CladaNeuroError) as error:
            run(
                tmp_path / "stimuli.csv",
                trials=tmp_path / "trials.csv",
                model=str(checkpoint),
                out=place,
                **options,
            )
        assert not place.exists()
        return str(error.value)

    return refused


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("rt_ms ~ suprisal_bits + (1|subject)", "no column 'suprisal_bits' (did you mean 'surprisal_bits'?)"),
        ("rt_ms ~ surprisal_bits + (1|Subject)", "no column 'Subject' (did you mean 'subject'?)"),
        ("rt_ms ~ load + (1|subject)", "no column 'load'"),  # there under a policy only
        ("rt_ms ~ sentence:length + (1|subject)", "is a linear combination"),
    ],
)
def test_a_formula_is_tried_before_the_model_runs(formula, message, study):
    assert message in study(formula=formula)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ('directions = { "condition[T.nearby]" = "negative" }', "condition[T.near]"),
        ('contrasts = { condition = "sums" }', "'sums' are not offered"),
        ('weights = "trials"', "no column 'trials'"),
        ('[synergy]\nresponse = "rt_ms"\npredictors = ["surprisal_bits", "sparsity"]\nrandom = "(1|subject)"', "no column 'sparsity'"),
    ],
)  # fmt: skip
def test_an_analysis_is_tried_before_the_model_runs(entries, message, study):
    formula = 'formula = "rt_ms ~ surprisal_bits + condition + (1|subject)"'
    assert message in study(analysis=f'[[model]]\nname = "times"\n{formula}\n{entries}\n')


def test_conditions_are_tried_before_the_model_runs(study):
    assert "no column 'rt'" in study(formula=FORMULA, where="rt > 100")
    assert "no row is left" in study(formula=FORMULA, where="rt_ms > 9999")
    assert "no column 'itm'" in study(
        analysis=f'exclusions = ["itm == 3"]\n[[model]]\nname = "m"\nformula = "{FORMULA}"'
    )


def test_trials_without_a_word_are_told_before_the_model_runs(study):
    assert "nearest: 'near'" in study(times().replace({"condition": {"near": "nera"}}), formula=FORMULA)


def test_a_row_is_the_one_that_a_spreadsheet_shows(study, tmp_path):
    trials = times()
    trials.loc[9, "rt_ms"] = 0
    said = "'log(rt_ms)' is not finite in row 11"
    assert said in study(trials, formula="log(rt_ms) ~ surprisal_bits + (1|subject)")
    assert said in study(trials, formula="log(rt_ms) ~ surprisal_bits + (1|subject)", where="item > 1")
    path = tmp_path / "trials.csv"
    path.write_text(path.read_text().replace("\n", "\n\n", 1))  # a blank line is a row of a spreadsheet, too
    assert read_trials(path).index.tolist() == list(range(3, len(trials) + 3))


def test_a_row_of_a_data_frame_is_its_label(checkpoint):
    trials = times().set_index(pd.Index([f"r{at}" for at in range(len(times()))]))
    trials.loc["r9", "rt_ms"] = 0
    aligned = align(trace(read_stimuli(texts()), checkpoint, progress=False).words, trials)
    assert aligned.trials.index.equals(trials.index)
    for table in (trials, aligned.trials):
        with pytest.raises(FitError, match="not finite in row r9"):
            fit(table, "log(rt_ms) ~ condition + (1|subject)")
    with pytest.raises(FitError, match="row r9 has 0"):
        fit(trials.assign(n=trials["rt_ms"]), "rt_ms ~ condition + (1|subject)", weights="n")


def test_repeated_and_unmatched_rows_are_named_alike(checkpoint):
    trials = pd.concat([times(), times().iloc[[4]]])  # the label 4 twice
    words = trace(read_stimuli(texts()), checkpoint, progress=False).words
    assert any("the first is row 4)" in note for note in align(words, trials).notes)
    lost = times().assign(item=times()["item"].where(times().index != 7, 99))
    assert align(words, lost).unmatched.index.tolist() == [7]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"regions": "She|v|the|n|end"},
        {"regions": 3, "words": 5, "length": 1, "word": "x", "context": "Then."},
    ],
    ids=["plain", "regions", "own"],
)
def test_stand_ins_have_the_columns_of_a_trace(more, checkpoint):
    stimuli = read_stimuli(texts(**more))
    made, real = stand_ins(stimuli), trace(stimuli, checkpoint, progress=False).words
    assert set(made) - set(real) == OF_MASKED
    assert set(real) <= set(made)
    true = ["stimulus_id", "word_index", "word", "stimulus", "zipf_frequency", "is_critical", *texts()]
    true += ["region"] if "region" in real else []
    pd.testing.assert_frame_equal(made[true], real[true], check_dtype=False)


def test_a_file_with_a_row_a_word_gives_each_word_its_own_cells(checkpoint):
    rows = texts().assign(word=texts()["sentence"].str.split()).explode("word").drop(columns="sentence")
    rows["word_index"] = rows.groupby(["item", "condition"]).cumcount()
    stimuli = read_stimuli(
        rows.assign(width=range(len(rows)), is_critical=rows["word_index"] == 3).reset_index(drop=True)
    )
    made, real = stand_ins(stimuli), trace(stimuli, checkpoint, progress=False).words
    assert set(made) - set(real) == OF_MASKED
    assert made["width"].tolist() == real["width"].tolist() == list(range(len(rows)))


def test_the_analysis_is_tried_without_opening_the_epochs_once_more(tmp_path, monkeypatch):
    mne = pytest.importorskip("mne")
    from clada_neuro.erp import sources

    (tmp_path / "s.csv").write_text(
        "item,condition,sentence,critical_word\n1,a,The cat sat,cat\n2,a,A dog lay there,dog\n"
    )
    info = mne.create_info(["Cz", "CPz", "Pz"], 50.0, "eeg").set_montage("standard_1020")
    (tmp_path / "eeg").mkdir()
    for subject in ("one", "two"):
        metadata = pd.DataFrame({"item": ["1", "2"], "condition": "a", "word_index": 1, "handedness": "r"})
        volts = 1e-5 * np.random.default_rng(0).normal(size=(2, 3, 61))
        epochs = mne.EpochsArray(volts, info, tmin=-0.2, metadata=metadata, verbose="error")
        epochs.save(tmp_path / "eeg" / f"sub-{subject}_epo.fif", verbose="error")
    opened, read = [], sources._read_file
    monkeypatch.setattr(sources, "_read_file", lambda path: opened.append(path) or read(path))
    formula = "n400_uv ~ surprisal_bits + handedness + (1 | subject)"
    plan = resolve_target(
        tmp_path / "s.csv", ResponseFiles(epochs=tmp_path / "eeg"), Asked.of(formula=formula)
    )
    before = len(opened)
    assert "handedness" in plan.described
    rehearse(plan)
    assert len(opened) == before > 0
