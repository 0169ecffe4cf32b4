"""`encode` on a run of a tiny model: a response that one of its layers drives is found there, and its controls stand beside it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import clada
from driven_texts import driven_texts

import clada_neuro as cn
from clada_neuro.errors import DataError, FitError, ModelError
from clada_neuro.instrument import vectors
from clada_neuro.instrument.layer_choice import LayerChoice
from clada_neuro.instrument.vectors import untrained, vectors_of
from clada_neuro.models.loading import load_model

N_ITEMS = 45


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Return a folder with a run in which four directions of layer 0 drive the response."""
    folder = tmp_path_factory.mktemp("encode")
    rng = np.random.default_rng(0)
    stimuli, driven = driven_texts(folder, rng, N_ITEMS)
    trials = stimuli[["item", "condition"]].assign(driven=driven)
    trials = trials.merge(pd.DataFrame({"subject": [f"p{n}" for n in range(12)]}), how="cross")
    people = dict(zip(trials["subject"].unique(), rng.normal(0, 3, 12), strict=True))
    trials["n400_uv"] = 2 * trials["driven"] + trials["subject"].map(people) + rng.normal(0, 2, len(trials))
    trials.drop(columns="driven").to_csv(folder / "trials.csv", index=False)
    cn.run(
        folder / "stimuli.csv",
        trials=folder / "trials.csv",
        model=str(folder / "model"),
        formula="n400_uv ~ surprisal_bits + (1|subject) + (1|item) + (1|stimulus)",
        device="cpu",
        out=folder / "run",
        jobs=1,
    )
    return folder


def test_the_layer_that_drives_the_response_is_found_beside_its_controls(study, capsys):
    found = cn.encode(study / "run", shuffles=39)
    table = found.set_index(["vectors", found["layer"].fillna(-1)])
    kinds = ["states", "activity", "next word", "untrained", "embedding", "covariates"]
    assert found["vectors"].unique().tolist() == kinds
    assert found.groupby("vectors", sort=False).size().tolist() == [2, 2, 2, 2, 1, 1]
    states = table.loc["states"]
    assert states["r"].idxmax() == 0
    assert states.loc[0, "p_family"] == 1 / 40
    assert states.loc[0, "r"] > 0.8
    assert states.loc[0, "r"] < found["ceiling"].iloc[0] + 0.05
    assert 0.9 < found["ceiling"].iloc[0] < 1
    for control in ("next word", "covariates"):
        assert table.loc[control, "r"].max() < states.loc[0, "r"] - 0.2
    document = json.loads((study / "run" / "encoding.json").read_text())
    (entry,) = document["entries"]
    assert entry["chosen"]["layers"] == [0] * 5
    assert entry["n_words"] == len(cn.read_stimuli(study / "stimuli.csv"))
    written = pd.read_csv(study / "run" / "tables" / "encoding.csv")
    np.testing.assert_allclose(written["r"], found["r"])
    done = clada(capsys, "encode", study / "run", "--shuffles", 39)
    assert done.code == 0
    assert "next word" in done.out


def test_what_stands_there_is_not_computed_again_and_the_report_shows_it(study, monkeypatch):
    first = cn.encode(study / "run", shuffles=39)
    monkeypatch.setattr("clada_neuro.study.encode.encoding_scores", None)
    pd.testing.assert_frame_equal(cn.encode(study / "run", shuffles=39), first)
    page = cn.report(study / "run").read_text(encoding="utf-8")
    assert "Encoding" in page
    assert "exchange of items" in page


def test_words_that_follow_are_left_out_where_most_have_none(study, tmp_path):
    stimuli = cn.read_stimuli(study / "stimuli.csv")
    model = load_model(study / "model", device="cpu")
    beyond = vectors_of(
        model, stimuli, [(name, 5) for name in stimuli["stimulus_id"]], LayerChoice(numbers=(1,))
    )
    assert np.isnan(beyond.states[1]).all()
    drawn = untrained(model, 0)
    again = untrained(model, 0)
    weight = drawn.model.get_input_embeddings().weight
    assert (weight == again.model.get_input_embeddings().weight).all()
    assert (weight != model.model.get_input_embeddings().weight).float().mean() > 0.9


def test_wrong_requests_get_one_line(study, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="is not a folder; give one that"):
        cn.encode(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"has no manifest.json"):
        cn.encode(tmp_path)
    with pytest.raises(DataError, match="layer 7 does not exist: the model has 2 layers"):
        cn.encode(study / "run", layers="7")
    with pytest.raises(FitError, match="folds = 2 given, at least 3"):
        cn.encode(study / "run", folds=2)
    with pytest.raises(FitError, match=f"30 folds of {N_ITEMS} items given"):
        cn.encode(study / "run", folds=30)
    monkeypatch.setattr(vectors, "free_bytes", lambda _: 100_000)
    with pytest.raises(ModelError, match=r"in 2 layers need .* GB are free; --layers every:2 fits"):
        cn.encode(study / "run")
