"""Ridge on components against the normal equations written out, planted effects, and the size under the null."""

import numpy as np
import pytest

from clada_neuro.errors import FitError
from clada_neuro.stats.encoding import course, ridge
from clada_neuro.stats.encoding.course import encoding_course
from clada_neuro.stats.encoding.ridge import FoldedRidge, correlations
from clada_neuro.stats.encoding.scores import encoding_scores, exchanged


def by_normal_equations(x, y, new, k, penalty):
    """Return predictions by (P'P + a I)^-1 P'y on the first k components P of z-scored features."""
    mean, sd = x.mean(axis=0), x.std(axis=0)
    z, other = (x - mean) / sd, (new - mean) / sd
    _, s, vt = np.linalg.svd(z, full_matrices=False)
    parts, others = z @ vt[:k].T, other @ vt[:k].T
    k = parts.shape[1]
    b = np.linalg.solve(
        parts.T @ parts + penalty * np.mean(s[:k] ** 2) * np.eye(k), parts.T @ (y - y.mean(axis=0))
    )
    return others @ b + y.mean(axis=0)


@pytest.mark.parametrize("features", [6, 90])
def test_predictions_are_those_of_the_best_ridge_inside_each_fold(features, monkeypatch):
    monkeypatch.setattr(ridge, "DIMENSIONS", (2, 5, 12))
    monkeypatch.setattr(ridge, "PENALTIES", (0.01, 1.0, 30.0))
    rng = np.random.default_rng(features)
    x = rng.normal(size=(60, features)) * rng.uniform(0.1, 9, features)
    y = np.column_stack([x[:, :3].sum(axis=1) + rng.normal(size=60), rng.normal(size=60)])
    folds = np.arange(60) // 2 % 4
    found = FoldedRidge(x, folds).held_out(y)
    for fold in range(4):
        rows = folds == fold
        errors = {}
        for k in (2, 5, 12):
            for penalty in (0.01, 1.0, 30.0):
                total = np.zeros(2)
                for inner in set(range(4)) - {fold}:
                    inside, held = ~rows & (folds != inner), folds == inner
                    total += (
                        (y[held] - by_normal_equations(x[inside], y[inside], x[held], k, penalty)) ** 2
                    ).sum(axis=0)
                errors[k, penalty] = total
        for target in range(2):
            best = min(errors, key=lambda key: errors[key][target])
            expected = by_normal_equations(x[~rows], y[~rows], x[rows], *best)[:, target]
            np.testing.assert_allclose(found.predictions[rows, target], expected, rtol=1e-6, atol=1e-8)
            assert found.inner_mse[fold, target] == pytest.approx(errors[best][target] / (~rows).sum())


def test_correlations_are_within_folds_and_zero_of_constants():
    rng = np.random.default_rng(0)
    y, predicted = rng.normal(size=(30, 2)), rng.normal(size=(30, 2))
    predicted[:, 1] = 3.0
    folds = np.arange(30) % 3
    found = correlations(predicted, y, folds)
    expected = [np.corrcoef(predicted[folds == fold, 0], y[folds == fold, 0])[0, 1] for fold in range(3)]
    np.testing.assert_allclose(found[:, 0], expected)
    assert (found[:, 1] == 0).all()


def planted(seed=0, effect=1.0, n_items=60):
    """Return vectors of three layers, of which the second drives the response, and controls that do not."""
    rng = np.random.default_rng(seed)
    items = np.repeat(np.arange(n_items), 2)
    layers = {("states", layer): rng.normal(size=(2 * n_items, 20)) for layer in range(3)}
    driven = layers["states", 1][:, :4].sum(axis=1) / 2
    response = effect * driven + rng.normal(size=2 * n_items)
    return layers | {("embedding", None): rng.normal(size=(2 * n_items, 20))}, response, items


def test_the_planted_layer_is_found_and_chosen_inside_folds():
    vectors, response, items = planted(effect=1.5)
    found = encoding_scores(vectors, response, items, shuffles=99)
    table = {(row["vectors"], row["layer"]): row for row in found["scores"]}
    assert table["states", 1]["r"] > 0.5
    assert table["states", 1]["p_family"] == 0.01
    assert table["states", 0]["p_family"] > 0.05
    assert table["embedding", None]["p"] > 0.05
    assert table["embedding", None]["p_family"] is None
    assert found["chosen"]["layers"] == [1] * 5
    assert found["chosen"]["r"] == pytest.approx(table["states", 1]["r"])
    assert found["chosen"]["p"] == 0.01


def test_without_an_effect_the_family_rejects_at_its_size():
    family, chosen = [], []
    for seed in range(100):
        vectors, response, items = planted(seed, effect=0.0, n_items=20)
        found = encoding_scores(vectors, response, items, folds=4, shuffles=19, seed=seed)
        family.append(min(row["p_family"] for row in found["scores"] if row["vectors"] == "states"))
        chosen.append(found["chosen"]["p"])
    # Of 100 tests at .05 more than 10 would reject in 1 of 90 runs.
    assert sum(p <= 0.05 for p in family) <= 10
    assert sum(p <= 0.05 for p in chosen) <= 10
    assert 0.3 < np.mean(family) < 0.7


def test_items_are_exchanged_whole():
    items = np.array([0, 0, 1, 1, 2, 3, 2, 3, 4])
    order = exchanged(items, np.random.default_rng(1))
    assert sorted(order) == list(range(9))
    assert order[8] == 8  # no other item has one word
    for item in range(4):
        taken = items[order[items == item]]
        assert len(set(taken)) == 1


def test_an_effect_of_condition_alone_is_an_effect():
    rng = np.random.default_rng(3)
    items, condition = np.repeat(np.arange(40), 2), np.tile([0.0, 1.0], 40)
    vectors = {("states", 0): np.column_stack([condition, rng.normal(size=(80, 3))])}
    found = encoding_scores(vectors, condition + rng.normal(0, 0.5, 80), items, shuffles=99)
    assert found["scores"][0]["p_family"] == 0.01


def test_too_few_items_and_a_flat_response_are_refused():
    vectors, response, items = planted(n_items=8)
    with pytest.raises(FitError, match="5 folds of 8 items given"):
        encoding_scores(vectors, response, items)
    vectors, response, items = planted()
    with pytest.raises(FitError, match="the same for all words"):
        encoding_scores(vectors, 0 * response, items)


def test_at_every_moment_a_kind_is_scored_by_the_layer_chosen_inside_folds():
    vectors, response, items = planted(effect=2.0)
    rng = np.random.default_rng(1)
    over_time = np.column_stack([rng.normal(size=len(items)), response, rng.normal(size=len(items))])
    found = encoding_course(vectors, over_time, items, shuffles=39)
    states, embedding = found["kinds"]
    alone = encoding_scores(vectors, response, items, shuffles=39)
    assert states["r"][1] == pytest.approx(alone["chosen"]["r"])
    assert states["p_family"][1] == 1 / 40
    assert min(states["p_family"][0], states["p_family"][2], *embedding["p_family"]) > 0.05
    by_layer = {row["layer"]: row for row in found["layers"] if row["vectors"] == "states"}
    for row in alone["scores"][:3]:
        assert by_layer[row["layer"]]["r"][1] == pytest.approx(row["r"])
    assert by_layer[1]["p_family"][1] == 1 / 40
    assert found["shuffled"] > alone["shuffled"] > 0


def test_blocks_of_exchanges_change_nothing(monkeypatch):
    vectors, response, items = planted(effect=1.0, n_items=20)
    over_time = np.column_stack([response, -response])
    whole = encoding_course(vectors, over_time, items, shuffles=19)
    monkeypatch.setattr(course, "_NUMBERS", 3 * over_time.size)
    found = encoding_course(vectors, over_time, items, shuffles=19)
    np.testing.assert_allclose(found["kinds"][0]["r"], whole["kinds"][0]["r"])
    np.testing.assert_allclose(found["shuffled"], whole["shuffled"])


def test_without_an_effect_the_plane_of_layers_and_moments_rejects_at_its_size():
    plane = []
    for seed in range(60):
        vectors, _, items = planted(seed, effect=0.0, n_items=20)
        noise = np.random.default_rng(seed).normal(size=(len(items), 4)).cumsum(axis=1)
        found = encoding_course(vectors, noise, items, folds=4, shuffles=19, seed=seed)
        plane.append(min(min(row["p_family"]) for row in found["layers"] if row["vectors"] == "states"))
    # Of 60 tests at .05 more than 8 would reject in 1 of 200 runs.
    assert sum(p <= 0.05 for p in plane) <= 8
