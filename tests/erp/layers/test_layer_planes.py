"""Regressions for all layers at once are MNE's, layer by layer, and items' scores have coefficients for their sum."""

import numpy as np
import pytest

from clada_neuro.erp.clusters import bins
from clada_neuro.erp.layers.columns import layer_columns
from clada_neuro.erp.layers.planes import Planes, Regressions, planes
from clada_neuro.erp.predictors import with_predictors
from clada_neuro.erp.rerp import subject_betas
from clada_neuro.erp.simulate_eeg import standard_info
from clada_neuro.erp.simulate_layers import simulate_layers
from clada_neuro.errors import DataError

MEASURE = "lens_surprisal_bits"


@pytest.fixture(scope="module")
def made(words_by_layer):
    words, by_layer = words_by_layer()
    columns = layer_columns(words, by_layer, MEASURE)
    epochs = simulate_layers(columns.words, {columns.names[4]: 0.4}, n_subjects=3, sfreq=200)
    return columns, with_predictors(epochs, columns.words, [*columns.names.values(), "length"])


@pytest.mark.parametrize("covariate", [True, False])
@pytest.mark.parametrize("controls", [(), ("length",)])
def test_coefficients_are_those_of_mne(made, controls, covariate):
    columns, data = made
    found = planes(data, columns.names, controls, covariate=covariate)
    assert found.betas.shape == (3, 6, 32, 100)
    for number, (subject, epochs) in enumerate(data.epochs.items()):
        for place, name in enumerate(columns.names.values()):
            alone = subject_betas(subject, epochs, (name, *controls), "covariate" if covariate else "none")
            times, expected = bins(alone[name], 0.0)
            np.testing.assert_allclose(found.times, times)
            np.testing.assert_allclose(found.betas[number, place], 1e6 * expected, atol=1e-9)


def test_scores_of_items_sum_to_what_coefficients_are_made_of(made):
    columns, data = made
    found = planes(data, columns.names, ("length",), covariate=False)
    assert found.scores.shape == (24, 6, 32, 100)
    total = 0.0
    for beta, epochs in zip(found.betas, data.epochs.values(), strict=True):
        z = epochs.metadata[[f"z_{name}" for name in columns.names.values()]].to_numpy(float)
        control = np.column_stack([np.ones(len(z)), epochs.metadata["z_length"]])
        left = z - control @ np.linalg.lstsq(control, z)[0]
        total = total + beta * (left**2).sum(axis=0)[:, None, None]
    np.testing.assert_allclose(found.scores.sum(axis=0), total, atol=1e-8)


@pytest.mark.parametrize("covariate", [True, False])
def test_the_influence_of_an_item_is_the_slope_of_the_coefficient_by_its_weight(covariate):
    """Weighted least squares, written out, with an item a little heavier and a little lighter."""
    rng = np.random.default_rng(6)
    items, step = np.repeat(np.arange(8), 3), 1e-4
    z, control, before = (
        rng.standard_normal((24, 2)),
        rng.standard_normal((24, 1)),
        rng.standard_normal((24, 2)),
    )
    y = rng.standard_normal((24, 2, 3)) + z[:, :1, None] + before[:, :, None]
    fit = Regressions.of("a subject", y, z, control, before if covariate else None)
    found = Planes(
        (0, 1),
        np.arange(3.0),
        fit.betas()[None],
        fit.scores(items, 8),
        fit.squares(items, 8),
        standard_info(1.0),
    )

    def beta(weights: np.ndarray, layer: int, channel: int) -> np.ndarray:
        columns = [np.ones(24), control[:, 0], z[:, layer], *([before[:, channel]] if covariate else [])]
        root = np.sqrt(weights)[:, None]
        return np.linalg.lstsq(root * np.column_stack(columns), root * y[:, channel])[0][2]

    for item in (0, 5):
        up, down = (np.where(items == item, 1 + sign * step, 1.0) for sign in (1, -1))
        for channel in (0, 1):
            slopes = [
                (beta(up, layer, channel) - beta(down, layer, channel)) / (2 * step) for layer in (0, 1)
            ]
            np.testing.assert_allclose(found.influence([channel])[item], slopes, rtol=1e-5, atol=1e-8)
    both = (found.influence([0]) + found.influence([1])) / 2
    np.testing.assert_allclose(found.influence([0, 1]), both, atol=1e-12)
    np.testing.assert_allclose(both.sum(axis=0), 0.0, atol=1e-12)


def test_a_layer_without_values_is_left_out_and_said(words_by_layer):
    words, by_layer = words_by_layer()
    by_layer.loc[by_layer["layer"] == 0, MEASURE] = np.nan
    columns = layer_columns(words, by_layer, MEASURE)
    assert list(columns.names) == [2, 4, 6, 8, 10]
    assert columns.notes == [f"{MEASURE} has no value in layer 0, which is left out"]


def test_what_cannot_be_mapped_is_refused_in_a_line(made, words_by_layer):
    words, by_layer = words_by_layer()
    with pytest.raises(DataError, match=r"'lens_surprisal' .did you mean 'lens_surprisal_bits'"):
        layer_columns(words, by_layer, "lens_surprisal")
    with pytest.raises(DataError, match="values of 1 layer"):
        layer_columns(words, by_layer[by_layer["layer"] == 2], MEASURE)
    columns, data = made
    with pytest.raises(DataError, match="does not vary apart from the controls"):
        planes(data, columns.names, (columns.names[2],))
