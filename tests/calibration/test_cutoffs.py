"""Dense passes at calibrated thresholds count the neurons that the policy itself would leave out."""

from dataclasses import replace

import pytest
import torch

from clada_neuro.calibration.cutoffs import hidden_cutoffs
from clada_neuro.errors import CalibrationError
from clada_neuro.instrument.activity import neuron_sparsity
from clada_neuro.instrument.measurer import ModelMeasurer
from clada_neuro.models.loading import load_model
from clada_neuro.models.registry import ffn_layers
from clada_neuro.policies.artifact import load_calibration, shipped_calibration
from clada_neuro.policies.clada import base_policy
from clada_neuro.runtime.policy import HIDDEN
from clada_neuro.scale.setting import Setting


@pytest.fixture(scope="module")
def model():
    return load_model("smollm2", device="cpu")


def test_cut_offs_select_what_the_policy_selects(model):
    found = hidden_cutoffs(model, 0.3)
    policy = base_policy(load_calibration(model), 0.3)
    size = ffn_layers(model.model)[0].intermediate_size
    torch.manual_seed(0)
    for layer in (0, 7, 29):
        a = torch.randn(50, size) * found.values[layer]
        score = policy.score(layer, HIDDEN, a)
        left_out = (score < policy.thresholds[HIDDEN][layer] * policy.base_scale).float().mean(-1)
        torch.testing.assert_close(
            neuron_sparsity(a.abs(), found.values[layer]), left_out, atol=2 / size, rtol=0
        )
        assert 0.5 < left_out.mean() < 0.8  # of normal values, 68 % lie within one cut-off
    assert found.source["calibration"] == shipped_calibration(model.weights_hash).name


def test_more_sparsity_leaves_out_more(model):
    low, high = (hidden_cutoffs(model, sparsity).values for sparsity in (0.1, 0.4))
    assert (low < high).all()


def test_dense_settings_take_the_shipped_calibration_and_refuse_a_wrong_file(tmp_path):
    assert Setting().measurer().described["neuron_sparsity"]["ffn_sparsity"] == 0.4
    (tmp_path / "file").write_text("no calibration")
    with pytest.raises(CalibrationError, match="cannot be read"):
        Setting(calibration=tmp_path / "file").measurer()


def test_other_cut_offs_from_the_same_file_make_another_trace(model):
    """As after a change of the code that makes them of a calibration."""
    found = hidden_cutoffs(model, 0.3)
    one, other = (
        ModelMeasurer(model, None, "en", False, cutoffs=cutoffs).described["neuron_sparsity"]
        for cutoffs in (found, replace(found, values=found.values * 1.01))
    )
    assert one["calibration"] == other["calibration"]
    assert one != other


def test_a_model_without_calibration_has_no_cut_offs(model):
    other = type(model)("other", model.model, model.tokenizer, model.start_token_id, "0" * 16)
    assert hidden_cutoffs(other) is None
