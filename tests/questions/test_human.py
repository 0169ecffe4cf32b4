"""The ladder on trials with planted effects: what was planted is found, what was not is not."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import CladaNeuroError, DataError
from clada_neuro.questions.climbed import Climbed
from clada_neuro.questions.human import climb, climb_ladder
from clada_neuro.questions.human_page import human_answer
from clada_neuro.questions.human_policies import DONE, EVENT, explore
from clada_neuro.questions.settings import HumanSettings
from clada_neuro.reporting import markdown

LADDERS = {ladder.name: ladder for ladder in HumanSettings().asked}
QUESTION = replace(LADDERS["nieuwland2018_n400"], name="planted", bootstrap=0)
COLUMNS = [name for step in QUESTION.steps for name in step.columns]
MODEL = {"model": "none", "dtype": "float32", "start_token": "none"}


def planted(product: float, seed: int = 3, n_items: int = 90, n_subjects: int = 10) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    names = ["surprisal_bits", "surprisal_bits_lag1", "sparsity_energy99", "adjustment_prev", "length",
             "zipf_frequency", "position"]  # fmt: skip
    words = pd.DataFrame(rng.standard_normal((2 * n_items, len(names))), columns=names)
    words["item"] = np.repeat(np.arange(n_items), 2).astype(str)
    words["stimulus"] = [f"{item}:{number % 2}" for number, item in enumerate(words["item"])]
    words["stimulus_id"], words["word_index"] = words["stimulus"], 4
    words["stimulus_effect"] = rng.normal(0, 0.3, len(words))
    trials = words.merge(pd.DataFrame({"subject": [f"s{n}" for n in range(n_subjects)]}), how="cross")
    noise = rng.normal(0, 2, len(trials))
    signal = (
        -0.8 * trials["surprisal_bits"] + product * trials["surprisal_bits"] * trials["sparsity_energy99"]
    )
    return trials.assign(n400_uv=signal + trials["stimulus_effect"] + noise)


def said(answer) -> str:
    """The page as Markdown."""
    return markdown.render(answer.page())


@pytest.fixture(scope="module")
def found() -> Climbed:
    return climb_ladder(planted(0.6), QUESTION, HumanSettings(folds=5))


def test_planted_effects_are_found_and_predict_unseen_items(found):
    tests = found.tests.set_index("step")
    for step in ("surprisal", "surprisal x sparsity_energy99"):
        assert tests.loc[step, "p"] < 1e-4
        assert tests.loc[step, "held_out_low"] > 0
    assert tests.loc["surprisal x adjustment_prev", "p"] > 0.01


def test_coefficients_are_on_the_scale_of_the_planted_ones(found):
    estimates = found.coefficients.set_index(["step", "term"])["estimate"]
    assert estimates["surprisal", "surprisal_bits"] == pytest.approx(-0.8, abs=0.2)
    product = estimates["surprisal x sparsity_energy99", "surprisal_bits:sparsity_energy99"]
    assert product == pytest.approx(0.6, abs=0.2)


def test_the_product_stands_over_both_squares_and_differs_in_one_term():
    for step in QUESTION.models(COLUMNS):
        assert set(step.smaller) < set(step.larger)
        if step.is_product:
            assert len(step.added) == 1
            assert sum("** 2" in term for term in step.smaller) == 2
    names = [step.name for step in QUESTION.models(COLUMNS)]
    assert names[-3:] == ["cloze", "surprisal beyond cloze", "cloze beyond surprisal"]


def test_rows_with_gaps_are_counted_and_left_out_of_every_model():
    trials = planted(0.0)
    trials.loc[:4, "adjustment_prev"] = np.nan
    result = climb_ladder(trials, QUESTION, HumanSettings(folds=2))
    assert result.counts[0].n_incomplete == 5
    assert set(result.tests["n_obs"]) == {len(trials) - 5}


def test_products_have_intervals_and_a_calibrated_p_where_replicates_were_asked_for():
    tests = climb_ladder(
        planted(0.6), replace(QUESTION, bootstrap=5), HumanSettings(folds=2)
    ).tests.set_index("step")
    products = tests.loc[[" x " in step for step in tests.index]]
    assert (products["n_replicates"] == 5).all()
    assert products.loc["surprisal x sparsity_energy99", "p_null"] == pytest.approx(1 / 6)
    assert products.loc["surprisal x sparsity_energy99", "delta_r2_low"] > 0
    assert tests.loc["surprisal", "n_replicates"] == 0


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match="lacks sparsity_energy99"):
        climb_ladder(planted(0.0).drop(columns="sparsity_energy99"), QUESTION, HumanSettings())


def test_an_unknown_question_is_refused_with_the_known_ones():
    with pytest.raises(DataError, match="did you mean 'frank2015_n400'"):
        HumanSettings(questions=("frank2015_n40",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title = 'x'", "or a [[ladder]] for `synergy human`"),
        (
            "title = 'x'\n[[ladder]]\nname = 'q'\ncontrol = []",
            "unknown entry 'control' (did you mean 'controls'?)",
        ),
        ("title = ", "is not valid TOML"),
        (
            "title = 'x'\n[[model]]\nname = 'm'\nformula = 'n400_uv ~ cloze'",
            "`clada-neuro run --analysis FILE`",
        ),
    ],
)
def test_a_wrong_analysis_file_is_refused(text, said, tmp_path):
    path = tmp_path / "analysis.toml"
    path.write_text(text)
    with pytest.raises(CladaNeuroError, match=re.escape(said)):
        HumanSettings(analysis=str(path))


def test_departures_from_the_analysis_are_named(found):
    assert HumanSettings().departures("smollm2") == []
    lines = HumanSettings(questions=("frank2015_n400",), limit=5, folds=3).departures("other")
    assert len(lines) == 6
    page = said(human_answer(Climbed.joined([found]), [QUESTION], MODEL, {}, lines))
    assert "- 3 folds used, 10 specified\n- language model 'other' used, smollm2 specified" in page
    assert "specified analysis\n\nNone." in said(human_answer(Climbed.joined([found]), [QUESTION], MODEL, {}))


def test_the_page_says_which_steps_hold_on_unseen_items(found, tmp_path):
    everything = Climbed.joined([found])
    human_answer(everything, [QUESTION], MODEL, {}).write(tmp_path)
    page = (tmp_path / "human.md").read_text(encoding="utf-8")
    held = page.split("better on held-out rows\n")[1].split("###")[0]
    assert "surprisal × activation sparsity" in held
    assert "× activation adjustment" not in held
    assert {path.name for path in tmp_path.iterdir()} >= {
        "human.html",
        "human_planted.png",
        "steps.csv",
        "coefficients.csv",
        "manifest.json",
    }


def test_directions_are_compared_with_the_registered_ones(found):
    everything = Climbed.joined([found])
    assert "registered negative, as registered" in said(human_answer(everything, [QUESTION], MODEL, {}))
    turned = found.coefficients.assign(
        estimate=-found.coefficients["estimate"],
        ci_low=-found.coefficients["ci_high"],
        ci_high=-found.coefficients["ci_low"],
    )
    opposite = replace(everything, coefficients=turned)
    assert "registered negative, the opposite" in said(human_answer(opposite, [QUESTION], MODEL, {}))


def words_read(policies: dict[str, float]) -> dict[str, pd.DataFrame]:
    """Words of the planted items under policies: sparsity that carries the response as far as the number says."""
    trials = planted(0.0)
    by_word = trials.groupby(["stimulus_id", "word_index"])
    rng, read = np.random.default_rng(5), {}
    for name, share in policies.items():
        words = by_word[["surprisal_bits", "surprisal_bits_lag1", "adjustment_prev"]].first()
        noise = rng.normal(0, 0.2, len(words))
        words[DONE] = 1 / (1 + np.exp(-share * by_word["n400_uv"].mean() - noise))
        words["sparsity_energy99"] = rng.normal(size=len(words))
        words[EVENT] = pd.array([None, *(rng.random(len(words) - 1) < 0.3)], dtype="boolean")
        read[name] = words.reset_index()
    read["clada"].loc[3, DONE] = 0.0  # inside the dense beginning
    return read


def test_policies_are_compared_on_the_same_rows_and_what_one_adds_is_found():
    read = words_read({"clada": 0.5, "no-load": 0.0})
    found = explore(planted(0.0), read, QUESTION, folds=5, seed=0)
    rows = found.set_index(["policy", "step"]).sort_index()
    done = found.loc[found["step"] != EVENT]
    assert done["n_obs"].nunique() == 1
    assert done["n_obs"].iloc[0] == len(planted(0.0)) - 10  # one word of every reader
    assert rows.loc[("clada", EVENT), "n_obs"] == done["n_obs"].iloc[0] - 10
    assert rows.loc[("clada", DONE), "held_out_low"] > 0
    assert rows.loc[("no-load", DONE), "p"] > 0.001


def test_slopes_by_subject_are_reduced_once_and_the_same_in_every_model(found):
    assert found.rungs["formula"].iloc[0] == " ".join(QUESTION.fullest.split())
    assert "(1 + surprisal_bits + sparsity_energy99 + adjustment_prev | subject)" in QUESTION.fullest
    last = found.rungs["formula"].iloc[-1]
    assert "(1 | stimulus)" in last
    assert found.rungs["removed"].iloc[-1] == ""


@pytest.mark.parametrize(
    ("step", "event_gain", "named"),
    [
        (EVENT, 0.01, "may be called"),
        (EVENT, -0.01, "beyond surprisal, so it is not called"),
        (DONE, 0.01, "was too rare among the P600 words to be tested, so it is not called"),
    ],
)
def test_the_event_is_named_after_the_p600_only_where_it_predicts_unseen_ones(found, step, event_gain, named):
    row = found.tests.iloc[[0]].assign(
        policy="clada", step=step, component="p600", p=1e-9, held_out_low=event_gain
    )
    page = said(human_answer(Climbed.joined([replace(found, policies=row)]), [QUESTION], MODEL, {}))
    assert f"{named} P600-like" in page


def test_a_finished_ladder_is_read_back_and_gives_the_same_page(tmp_path, monkeypatch):
    where = "clada_neuro.questions.human."
    monkeypatch.setattr(f"{where}trials_of", lambda *_: planted(0.0, n_items=30))
    monkeypatch.setattr(f"{where}resolve_target", lambda *_, **__: SimpleNamespace(stimuli=None))
    read = words_read({"clada": 0.1, "no-load": 0.0})
    monkeypatch.setattr(f"{where}words_under_policies", lambda *_: read)
    settings = HumanSettings(questions=("nieuwland2018_n400",), folds=2, bootstrap=0)
    climbed = [climb(None, settings, tmp_path, print)]
    monkeypatch.setattr(f"{where}climb_ladder", None)
    climbed.append(climb(None, settings, tmp_path, print))
    pages = [said(human_answer(one, [QUESTION], MODEL, {})) for one in climbed]
    assert pages[0] == pages[1]
    assert "no-load" in pages[0]
    pd.testing.assert_frame_equal(climbed[0].tests, climbed[1].tests)


def test_a_ladder_of_ones_own_is_climbed_and_its_page_claims_no_more_than_it_holds(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(
        """
        title = "Length alone"
        [[ladder]]
        name = "own"
        target = "mine"
        response = "rt_ms"
        controls = ["position"]
        random = "(1 | subject) + (1 | stimulus)"
        fold = "item"
        [[step]]
        name = "length"
        adds = ["length"]
        [[step]]
        name = "cloze"
        adds = ["cloze"]
        optional = true
        """,
        encoding="utf-8",
    )
    settings = HumanSettings(analysis=str(path), folds=2)
    (own,) = settings.asked
    lines: list[str] = []
    found = climb_ladder(
        planted(0.0).rename(columns={"n400_uv": "rt_ms"}), own, settings, progress=lines.append
    )
    assert found.tests["step"].tolist() == ["length"]
    assert found.rungs["formula"].iloc[0] == "rt_ms ~ position + length + (1 | subject) + (1 | stimulus)"
    assert "own: cloze left out, as the trials lack what they need" in lines
    page = said(
        human_answer(
            Climbed.joined([found]), [own], MODEL, {"analysis": str(path)}, title=settings.specified.title
        )
    )
    assert page.startswith("# Length alone")
    assert "steps left out" in page
    assert "Added terms: ms for one SD" in page
    for claim in ("both squares", "Varda", "CLADA", "R² of the products", "sparsity", "µV"):
        assert claim not in page
