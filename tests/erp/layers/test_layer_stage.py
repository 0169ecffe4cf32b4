"""Layers whose measure has one value in the words of the epochs: left out and said so; a map needs two others, before any is made."""

import pytest

from clada_neuro.erp.layers.columns import layer_columns
from clada_neuro.erp.layers.stage import LayerMapsStage
from clada_neuro.erp.simulate_layers import simulate_layers
from clada_neuro.errors import DataError
from clada_neuro.records.layer_maps import LayerMapsRecord

MEASURE = "lens_surprisal_bits"


@pytest.fixture(scope="module")
def study(words_by_layer):
    words, by_layer = words_by_layer()
    columns = layer_columns(words, by_layer, MEASURE)
    epochs = simulate_layers(columns.words, {columns.names[4]: 0.4}, n_subjects=3, sfreq=50)
    return words, by_layer, epochs


def stage(study, constant: dict[str, list[int]], **choices) -> LayerMapsStage:
    """The stage of measures each of which has one value in some layers."""
    words, by_layer, epochs = study
    tables = {
        name: by_layer[MEASURE].mask(by_layer["layer"].isin(layers), 1.0) for name, layers in constant.items()
    }
    return LayerMapsStage(
        epochs,
        words,
        by_layer.assign(**tables),
        tuple(constant),
        n_permutations=10,
        n_bootstrap=10,
        **choices,
    )


def test_a_layer_that_does_not_vary_is_left_out_of_the_maps_and_said(study, tmp_path):
    made = stage(study, {MEASURE: [0, 6]}).make(tmp_path)
    (one,) = LayerMapsRecord.read(made / "layer_maps.json").measures
    assert one.layers == [2, 4, 8, 10]
    assert [note for note in one.notes if "one value" in note] == [
        f"{MEASURE}_layer{layer} has one value in the words of all epochs: left out of the maps"
        for layer in (0, 6)
    ]


@pytest.mark.parametrize(("constant", "n"), [([0, 2, 4, 6, 8, 10], 0), ([0, 2, 4, 6, 8], 1)])
def test_fewer_than_two_layers_that_vary_are_refused_before_anything_is_mapped(study, tmp_path, constant, n):
    told: list[str] = []
    asked = stage(study, {MEASURE: [], "other": constant}, progress=told.append)
    with pytest.raises(
        DataError,
        match=rf"^other varies over the words of the epochs in {n} of 6 layers, a map over layers needs two or more \(other_layer0 has",
    ):
        asked.make(tmp_path)
    assert told == []
