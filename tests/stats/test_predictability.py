"""Forms of predictability against the same models fitted one by one, and a planted form that is found."""

import numpy as np
import pandas as pd
import pytest

import clada_neuro as cn
from clada_neuro.errors import FitError
from clada_neuro.stats.crossval import cross_validate
from clada_neuro.stats.layers.models import Given
from clada_neuro.stats.predictability import FORMS, predictability_of

RANDOM = "(1|subject) + (1|item)"
GIVEN = Given("n400", f"n400_uv ~ surprisal_bits + length + {RANDOM}", ("surprisal_bits", "length"))
FORMULAS = {
    "surprisal_power_3_4": lambda s: s**0.75,
    "surprisal_power_1_2": np.sqrt,
    "minus_root_probability": lambda s: -np.sqrt(2.0**-s),
    "minus_probability": lambda s: -(2.0**-s),
}


def trials(planted: str = "minus_probability", effect: float = 2.0, seed: int = 0) -> pd.DataFrame:
    """Return 24 subjects' responses to two words of each of 40 items, driven by one form."""
    rng = np.random.default_rng(seed)
    words = pd.DataFrame({"item": np.repeat(np.arange(40), 2), "word_index": 3})
    words["stimulus_id"] = [f"s{number}" for number in range(80)]
    words["surprisal_bits"] = rng.exponential(4, 80)
    words["length"] = rng.integers(3, 12, 80)
    words["cloze"] = (2.0 ** -words["surprisal_bits"] + rng.normal(0, 0.1, 80)).clip(0, 1)
    words["similarity_context"] = np.where(np.arange(80) < 60, rng.uniform(0, 1, 80), np.nan)
    rows = words.merge(pd.DataFrame({"subject": range(24)}), how="cross")
    form = FORMULAS.get(planted, lambda s: s)(rows["surprisal_bits"])
    form = (form - form.mean()) / form.std()
    people, items = rng.normal(0, 1, 24), rng.normal(0, 0.5, 40)
    rows["n400_uv"] = (
        -effect * form + people[rows["subject"]] + items[rows["item"]] + rng.normal(0, 3, len(rows))
    )
    return rows


@pytest.mark.filterwarnings("ignore:.*vary|varies over stimuli")
def test_every_form_is_the_model_with_it_in_place_of_surprisal():
    rows = trials()
    found = predictability_of(rows, GIVEN)
    table = pd.DataFrame(found["forms"]).set_index("form")
    assert list(table.index) == ["surprisal_bits", *FORMS, "cloze"]
    none = cn.fit(rows, f"n400_uv ~ length + {RANDOM}", standardize=True)
    surprisal = cn.fit(rows, GIVEN.formula, standardize=True)
    for name in table.index:
        values = FORMULAS[name](rows["surprisal_bits"]) if name in FORMULAS else rows[name]
        fit = cn.fit(
            rows.assign(form=values), GIVEN.formula.replace("surprisal_bits", "form"), standardize=True
        )
        b = fit.coefficients.set_index("term").loc["form"]
        row = table.loc[name]
        assert row["estimate"] == pytest.approx(b["estimate"], abs=1e-4)
        assert row["se"] == pytest.approx(b["se"], rel=1e-3)
        assert row["loglik"] == pytest.approx(fit.refit(reml=False).loglik, abs=1e-3)
        for other, what in ((none, "none"), (surprisal, "surprisal")):
            gain = cross_validate(other.refit(reml=False), fit.refit(reml=False))
            assert row[f"heldout_{what}"] == pytest.approx(gain.delta_loglik_per_trial, abs=2e-5)
            assert row[f"heldout_{what}_se"] == pytest.approx(gain.se, abs=2e-5)


@pytest.mark.parametrize("planted", ["surprisal_bits", *FORMULAS])
def test_the_planted_form_is_the_best_of_the_forms(planted):
    forms = pd.DataFrame(predictability_of(trials(planted, effect=4.0), GIVEN)["forms"])
    forms = forms[forms["form"] != "cloze"].set_index("form")
    assert forms["heldout_none"].idxmax() == planted


def test_without_an_effect_nothing_is_gained():
    forms = pd.DataFrame(predictability_of(trials(effect=0.0), GIVEN)["forms"])
    assert (forms["heldout_none"] < 2 * forms["heldout_none_se"]).all()


def test_what_most_trials_lack_is_left_out_and_told():
    found = predictability_of(trials(), GIVEN)
    assert found["notes"] == ["similarity_context is left out: it is known for 75% of the trials, 95% needed"]
    known = predictability_of(trials().assign(similarity_context=0.5 + trials()["length"] ** 2.0), GIVEN)
    assert known["forms"][-1]["form"] == "similarity_context"


def test_a_model_without_surprisal_is_refused():
    given = Given("n400", f"n400_uv ~ length + {RANDOM}")
    with pytest.raises(FitError, match="'surprisal_bits' is no term of"):
        predictability_of(trials(), given)
