"""Models of layers over one design: each as the engine fits it alone, folds as cross-validation, draws as rows drawn."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.crossval import cross_validate
from clada_neuro.stats.layers import family, first_block
from clada_neuro.stats.layers.likelihood import factors, fit, reduced, start_from
from clada_neuro.stats.layers.models import FINAL, Given, prepare
from clada_neuro.stats.layers.optimum import minimum
from clada_neuro.stats.layers.products import Drawn, products
from clada_neuro.stats.layers.profile import profile_of
from clada_neuro.stats.layers.settings import LayerSettings, read_settings
from clada_neuro.stats.mixed import estimate
from clada_neuro.stats.model import specify

CROSSED = "(1|subject) + (1|item) + (1|stimulus)"
RANDOM = {
    "crossed": CROSSED,
    "slopes": f"(1 + length | subject) + {CROSSED[14:]}",
    "uncorrelated": f"(1 + length || subject) + {CROSSED[14:]}",
    "one group": "(1|stimulus)",
    "slopes alone": "(1 + length | subject)",
}
MEASURES = ("lens_surprisal_bits", "displacement_below")


def words(n_items: int, n_layers: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return measures by layer of two words an item, each layer's near those of the one before."""
    keys = pd.DataFrame({"stimulus_id": [f"{i}{c}" for i in range(n_items) for c in "ab"], "word_index": 3})
    state, layers = rng.normal(size=(len(keys), 2)), []
    for layer in range(n_layers):
        state = 0.9 * state + 0.44 * rng.normal(size=state.shape)
        layers.append(keys.assign(layer=layer, **dict(zip(MEASURES, state.T, strict=True))))
    return pd.concat(layers, ignore_index=True)


def trials(
    measured: pd.DataFrame, n_subjects: int, rng: np.random.Generator, effect: float = 0.0
) -> pd.DataFrame:
    """Return a trial a subject and word; `effect`, of a standard deviation, is that of layer 2's surprisal."""
    last = measured["layer"].max()
    frame = measured[measured["layer"] == last].rename(columns={MEASURES[0]: "surprisal_bits"})
    frame = frame[["stimulus_id", "word_index", "surprisal_bits"]]
    frame["layer2"] = measured.loc[measured["layer"] == 2, MEASURES[0]].to_numpy()
    frame["length"] = rng.integers(3, 10, len(frame)).astype(float)
    frame["item"], frame["stimulus"] = frame["stimulus_id"].str[:-1], frame["stimulus_id"]
    frame = frame.merge(pd.DataFrame({"subject": [f"s{i}" for i in range(n_subjects)]}), how="cross")
    y = effect * frame["layer2"] + 0.05 * frame["length"] + 2 * rng.standard_normal(len(frame))
    for group, sd in (("subject", 1.0), ("item", 0.4), ("stimulus", 0.4)):
        y += frame[group].map(
            dict(zip(frame[group].unique(), sd * rng.standard_normal(frame[group].nunique()), strict=False))
        )
    slopes = dict(zip(frame["subject"].unique(), 0.2 * rng.standard_normal(n_subjects), strict=False))
    frame["n_trials"] = rng.integers(1, 6, len(frame)).astype(float)
    return frame.assign(n400_uv=y + frame["subject"].map(slopes) * frame["length"])


@pytest.fixture(scope="module")
def measured() -> pd.DataFrame:
    return words(14, 4, np.random.default_rng(0))


@pytest.fixture(scope="module")
def data(measured) -> pd.DataFrame:
    return trials(measured, 12, np.random.default_rng(1), effect=0.6)


def given(random: str = CROSSED, **changed) -> Given:
    return Given(
        "N400", f"n400_uv ~ surprisal_bits + length + {random}", ("surprisal_bits", "length"), **changed
    )


def few(**changed) -> LayerSettings:
    directions = {"n400_uv": {"lens_surprisal_bits": "positive"}}
    return LayerSettings(MEASURES, **{"replicates": 39, "folds": 4, "directions": directions, **changed})


@pytest.mark.parametrize("weights", [None, "n_trials"])
@pytest.mark.parametrize("random", RANDOM.values(), ids=RANDOM)
@pytest.mark.parametrize("reml", [True, False])
def test_every_model_is_the_engines(measured, data, random, reml, weights):
    ready = prepare(data, measured, given(random, weights=weights), few())
    made = products(ready.baseline.design, ready.candidates)
    engine = estimate(ready.baseline, reml=reml)
    near = start_from([value / engine.sigma**2 for value in engine.estimate.covariances], made)
    own = fit(made, None, near, reml)
    assert own.loglik == pytest.approx(engine.loglik, abs=1e-4)
    wide = measured.pivot(index="stimulus_id", columns="layer", values=MEASURES[1])
    frame = data.assign(measure=data["stimulus_id"].map(wide[1]))
    model = specify(
        frame, f"n400_uv ~ length + measure + {random}", standardize=["length", "measure"], weights=weights
    )
    alone = estimate(model, reml=reml)
    found = fit(made, ready.columns.index((MEASURES[1], 1)), own.theta, reml)
    assert found.loglik == pytest.approx(alone.loglik, abs=1e-4)
    expected = alone.coefficient("measure")
    assert found.b == pytest.approx(expected["estimate"], rel=1e-4)
    assert found.se == pytest.approx(expected["se"], rel=1e-3)
    assert found.sigma == pytest.approx(alone.sigma, rel=1e-4)


def test_the_replaced_predictor_itself_gives_the_runs_own_model(measured, data):
    found = profile_of(data, measured, given(), few())
    run = estimate(specify(data, given().formula, standardize=list(given().standardize)))
    for key, name in (("estimate", "estimate"), ("se", "se"), ("t", "t")):
        assert found["final"][key] == pytest.approx(run.coefficient("surprisal_bits")[name], rel=1e-4)
    last = next(row for row in found["profile"] if (row["measure"], row["layer"]) == (MEASURES[0], 3))
    assert last["estimate"] == pytest.approx(found["final"]["estimate"], rel=1e-9)
    assert last["r_final"] == pytest.approx(1)
    assert last["heldout_final"] is None
    assert last["heldout_final_se"] is None
    assert (
        "lens_surprisal_bits of layer 3 is surprisal_bits itself, and so has no gain over it"
        in found["notes"]
    )
    assert all(row["heldout_final"] is not None for row in found["profile"] if row is not last)


def test_a_choice_that_is_always_the_replaced_predictor_has_no_gain_over_it(measured, data):
    """Also where its values differ in the last digits, as those of the lens do."""
    alone = measured[measured["layer"] == 3].assign(
        **{MEASURES[0]: lambda frame: frame[MEASURES[0]] * (1 + 1e-7)}
    )
    found = profile_of(data, alone, given(), few())
    gains = {row["measure"]: (row["heldout_final"], row["heldout_final_se"]) for row in found["choice"]}
    assert gains[MEASURES[0]] == (None, None)
    assert gains[MEASURES[1]][1] > 0


def test_held_out_gains_are_those_of_cross_validation(measured, data):
    found = profile_of(data, measured, given(), few())
    wide = measured.pivot(index="stimulus_id", columns="layer", values=MEASURES[0])
    frame = data.assign(measure=data["stimulus_id"].map(wide[2]))
    fits = {
        name: estimate(specify(frame, f"n400_uv ~ length{term} + {CROSSED}", standardize=["length", *scaled]), reml=False)
        for name, term, scaled in (
            ("baseline", "", []), ("layer", " + measure", ["measure"]), ("final", " + surprisal_bits", ["surprisal_bits"])
        )
    }  # fmt: skip
    row = next(row for row in found["profile"] if (row["measure"], row["layer"]) == (MEASURES[0], 2))
    for name in ("baseline", "final"):
        expected = cross_validate(fits[name], fits["layer"], folds=4, seed=0)
        assert row[f"heldout_{name}"] == pytest.approx(expected.delta_loglik_per_trial, rel=1e-3)
        assert row[f"heldout_{name}_se"] == pytest.approx(expected.se, rel=1e-3)


def test_the_best_layer_of_a_fold_is_found_without_its_items(measured, data):
    """What a fold's own trials are changes its score and leaves its choice."""
    found = profile_of(data, measured, given(), few())
    items, _ = pd.factorize(data["item"])
    fold_of = np.random.default_rng(0).permutation(np.arange(14) % 4)[items]
    noise = np.where(
        fold_of == 1,
        30 * np.random.default_rng(5).standard_normal(14 * 2)[pd.factorize(data["stimulus"])[0]],
        0,
    )
    other = profile_of(data.assign(n400_uv=data["n400_uv"] + noise), measured, given(), few())
    chosen, again = (
        [row for row in one["chosen"] if row["fold"] == 1 and row["measure"] == "any"]
        for one in (found, other)
    )
    assert chosen == again
    (best,) = (row for row in found["choice"] if row["measure"] == MEASURES[0])
    assert best["heldout_baseline"] > 0
    assert "2 (×" in best["layers"]


def test_products_of_drawn_responses_have_the_moments_of_rows_that_are_drawn(measured, data):
    ready = prepare(data, measured, given(RANDOM["slopes"]), few())
    made = products(ready.baseline.design, ready.candidates)
    theta = np.array([0.5, 0.3, 0.6, 0.1, 0.4])[: sum(k * (k + 1) // 2 for _, k in made.sizes)]
    draw, rng = Drawn(made, factors(theta, made), 1.5), np.random.default_rng(0)
    drawn = [draw(rng) for _ in range(4000)]
    design, chosen = ready.baseline.design, factors(theta, made)
    rows = []
    for _ in range(4000):
        y = 1.5 * rng.standard_normal(made.n)
        for b, factor in zip(made.order, chosen, strict=True):
            block = design.blocks[b]
            effects = 1.5 * rng.standard_normal((len(block.levels), len(factor))) @ factor.T
            y += np.einsum("ij,ij->i", block.values, effects[block.codes])
        rows.append(y)
    U = np.linalg.solve(made.scales.r.T, design.X.T) @ np.array(rows).T
    squares = np.square(rows).sum(axis=1)
    mine = np.array([one.y for one in drawn])
    assert mine.mean() == pytest.approx(squares.mean(), rel=0.02)
    assert mine.std() == pytest.approx(squares.std(), rel=0.06)
    found = np.array([one.u[: made.p] for one in drawn])
    np.testing.assert_allclose(found.std(axis=0), U.std(axis=1), rtol=0.06)
    one, other = (np.corrcoef(a[:, 0], b)[0, 1] for a, b in ((found, mine), (U.T, squares)))
    assert abs(one - other) < 0.06


def test_a_word_a_trial_does_not_fill_the_memory():
    many = words(800, 3, np.random.default_rng(0))
    frame = trials(many, 2, np.random.default_rng(1))
    made = products(*_design(frame, many))
    effects = sum(levels * terms for levels, terms in made.sizes)
    held = sum(value.nbytes for value in vars(made).values() if isinstance(value, np.ndarray))
    assert effects > 1600
    assert held < 8 * effects**2 / 2


def _design(frame, measured):
    ready = prepare(frame, measured, given(), few())
    return ready.baseline.design, ready.candidates


@pytest.mark.parametrize("random", [CROSSED, RANDOM["slopes"]])
def test_sums_over_levels_that_are_alike_are_those_over_each(measured, data, random, monkeypatch):
    frame = data.drop(index=data.index[::7])
    ready = prepare(frame, measured, given(random), few())
    theta = np.array([0.5, 0.3, 0.6, 0.1, 0.4])[: 3 if random == CROSSED else 5]
    found = []
    for many in (0, 10**9):
        monkeypatch.setattr(first_block, "MANY", many)
        made = products(ready.baseline.design, ready.candidates)
        other = made.of(Drawn(made, factors(theta, made), 1.0)(np.random.default_rng(0)))
        found.append([reduced(theta, one, np.array([1, 4])) for one in (made, other)])
    assert len(np.unique(made.diagonal)) > 1
    for (one, logdet), (same, same_logdet) in zip(*found, strict=True):
        np.testing.assert_allclose(one, same, rtol=1e-9, atol=1e-9 * np.abs(one).max())
        assert logdet == pytest.approx(same_logdet, rel=1e-12)


def test_the_largest_t_is_that_of_all_models_fitted(measured):
    for seed in range(6):
        frame = trials(measured, 8, np.random.default_rng(seed))
        ready = prepare(frame, measured, given(), few())
        made = products(ready.baseline.design, ready.candidates)
        start = np.full(3, 0.3)
        baseline = fit(made, None, start, True)
        every = [fit(made, column, baseline.theta, True) for column in range(len(ready.columns) - 1)]
        found = family.largest(made, np.arange(len(every)), start)
        assert found == pytest.approx(max(abs(one.b / one.se) for one in every), rel=1e-3)


def test_p_and_interval_tell_the_same():
    drawn = np.random.default_rng(0).gamma(9, 0.25, 999)
    limit = family.critical(drawn, 0.95)
    t = np.linspace(-6, 6, 401)
    assert ((np.abs(t) > limit) == (family.adjusted(t, drawn) <= 0.05)).all()
    assert family.adjusted(np.array([1e9]), drawn)[0] == 1 / 1000
    assert family.critical(drawn[:9], 0.95) == np.inf


def test_values_do_not_depend_on_processes_and_an_effect_is_found_in_its_layer(measured, data):
    found, again = (profile_of(data, measured, given(), few(), jobs=jobs) for jobs in (1, 2))
    assert found == again
    rows = pd.DataFrame(found["profile"]).set_index(["measure", "layer"])
    assert len(rows) == found["n_family"] == 8
    assert rows.loc[MEASURES[0], "t"].idxmax() == 2
    assert rows.loc[(MEASURES[0], 2), "p_family"] <= 0.05
    assert rows.loc[(MEASURES[0], 2), "as_expected"]
    assert rows.loc[MEASURES[1], "ci_low"].lt(0).all()
    assert rows.loc[MEASURES[1], "ci_high"].gt(0).all()


def test_what_is_left_out_is_counted(measured, data):
    holes = measured.copy()
    holes.loc[(holes["layer"] == 0), MEASURES[1]] = np.nan
    holes.loc[(holes["layer"] == 1) & (holes["stimulus_id"] == "0a"), MEASURES[1]] = np.nan
    holes.loc[holes["layer"] == 3, MEASURES[1]] = 2.0
    frame = data.copy()
    frame.loc[frame.index[-5:], "length"] = np.nan
    frame.loc[frame["stimulus_id"] == "1b", "stimulus_id"] = "other"
    ready = prepare(frame, holes, given(), few())
    assert set(ready.columns) == {
        *((MEASURES[0], k) for k in range(4)),
        *((MEASURES[1], k) for k in (1, 2)),
        FINAL,
    }
    assert len(ready.baseline.design.y) == len(data) - 5 - 12 - 12
    told = "; ".join(ready.notes)
    assert "displacement_below of layer 0 is left out: it is not defined" in told
    assert "displacement_below of layer 3 is left out: it is constant" in told
    assert "5 of 336 trials lack a value of the model's own columns" in told
    assert (
        "24 trials lack a value of a measure by layer: displacement_below 12, no word of the trace 12" in told
    )


def test_interactions_of_the_replaced_predictor_are_left_out_and_said(measured, data):
    crossed = Given("N400", f"n400_uv ~ surprisal_bits * length + {CROSSED}", ("surprisal_bits", "length"))
    ready = prepare(data, measured, crossed, few())
    assert ready.baseline.design.names == ("(Intercept)", "length")
    assert ready.notes == ("interactions are left out of all models: surprisal_bits:length",)


def test_wrong_requests_get_one_line(measured, data):
    with pytest.raises(FitError, match="'surprisal_bits' is no term of"):
        prepare(data, measured, Given("N400", f"n400_uv ~ length + {CROSSED}"), few())
    with pytest.raises(FitError, match="has smooths, and models of layers are linear"):
        prepare(data, measured, Given("N400", f"n400_uv ~ surprisal_bits + s(length) + {CROSSED}"), few())
    with pytest.raises(FitError, match=r"only part of log\(surprisal_bits\)"):
        prepare(data, measured, Given("N400", f"n400_uv ~ log(surprisal_bits) + {CROSSED}"), few())
    with pytest.raises(FitError, match="not in the trace: trajectory_error; it has lens_surprisal_bits"):
        prepare(data, measured, given(), replace(few(), measures=("trajectory_error",)))
    with pytest.raises(FitError, match="no trial of 336 has values of all measures"):
        prepare(data.assign(word_index=9), measured, given(), few())
    with pytest.raises(FitError, match="'item' has 14 levels, too few for 15 folds"):
        profile_of(data, measured, given(), few(folds=15))


def test_settings_are_read_and_faults_named(tmp_path):
    shipped = read_settings()
    assert shipped.measures == (
        "lens_surprisal_bits",
        "lens_kl_below_bits",
        "displacement_below",
        "trajectory_error",
    )
    assert shipped.directions["n400_uv"]["lens_surprisal_bits"] == "negative"
    assert [shipped.on(name).fold for name in (None, "nieuwland2018", "frank2015")] == [
        "item",
        "item",
        "sentence",
    ]
    path = tmp_path / "depth.toml"
    for text, expected in {
        "measures = ['lens_surprisal']": "no measure by layer 'lens_surprisal' (did you mean 'lens_surprisal_bits'",
        "measures = []": "no measure by layer is named",
        "folds = 10": "missing entry 'measures'",
        "measures = ['lens_rank']\nfold = 3": "fold = 3 given, text expected",
        "measures = ['lens_rank']\nfold_by = {frank2015 = 3}": "a table of ",
        "measures = ['lens_rank']\nfolds = 1": "folds = 1 given, at least 2",
        "measures = ['lens_rank']\nreplicates = 5": "replicates = 5 given, at least 19",
        "measures = ['lens_rank']\nconfidence = 95.0": "confidence = 95 given",
        "measures = ['lens_rank']\nsed = 3": "unknown entry 'sed' (did you mean 'seed'",
        "measures = ['lens_rank']\n[directions.n400_uv]\nlens_rank = 'up'": "lens_rank = 'up' given",
        "measures =": "not valid TOML",
    }.items():
        path.write_text(text)
        with pytest.raises(FitError, match=expected.replace("(", r"\(")):
            read_settings(path)
    with pytest.raises(FitError, match="no settings at"):
        read_settings(tmp_path / "none.toml")


def test_a_descent_leaves_a_saddle():
    found = minimum(lambda at: float((at[0] ** 2 - 1) ** 2 + at[1] ** 2), np.array([0.0, 0.3]))
    np.testing.assert_allclose(np.abs(found.at), [1, 0], atol=1e-3)
    assert found.converged
