"""A new policy is one file: found, fitted, made, measured and listed, whatever it does with dropped rows."""

from pathlib import Path

import pytest
import torch
from calibration.test_search import documents, language_model

import clada_neuro.policies
from clada_neuro.calibration import search, texts
from clada_neuro.errors import CalibrationError, ModelError
from clada_neuro.models.registry import ffn_layers
from clada_neuro.passes.measure import measure
from clada_neuro.policies import registry
from clada_neuro.policies.artifact import load_calibration
from clada_neuro.runtime.kernels.selection import check_policy

NEW = ("gradients", "mode", "rotated", "low-rank")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A calibration and the model it is of, while the newcomers' files stand among the policies."""
    with pytest.MonkeyPatch.context() as patch:
        folders = [*clada_neuro.policies.__path__, str(Path(__file__).parent / "newcomers")]
        patch.setattr(clada_neuro.policies, "__path__", folders)
        patch.setattr(registry, "DECLARED", registry._declared())
        for module in (texts, search):
            patch.setattr(module, "LENGTH", 64)
        path, model = tmp_path_factory.mktemp("new") / "tiny.safetensors", language_model()
        search.calibrate(model, documents(), path, tokens=64 * 48, progress=False)
        yield model, load_calibration(model, path)


def test_they_are_found_in_their_order(made):
    names = list(registry.DECLARED)
    assert [name for name in names if name in NEW] == list(NEW)
    assert names.index("wina") < names.index("gradients") < names.index("teal-compensated")


@pytest.mark.parametrize("name", NEW)
def test_they_follow_what_was_fitted(made, name):
    model, calibration = made
    layers = ffn_layers(model.model)
    ids = torch.tensor([model.tokenizer(text).input_ids[:64] for text in documents(seed=1)])
    found = [
        float(measure(model.model, registry.make_policy(name, layers, calibration, sparsity), ids).mean())
        for sparsity in (0.0, 0.2, 0.3)
    ]
    assert found[0] <= 0
    # 24 inputs of 448 bytes and 52 neurons of 128; a low rank of the first maps is read beside the kept rows.
    share = 1.5 * 24 * 448 / (24 * 448 + 52 * 128) if name in ("rotated", "low-rank") else 1
    cost = 4 * 4 * (24 + 2 * 52) / (24 * 448 + 52 * 128) if name == "low-rank" else 0
    assert found[1:] == pytest.approx([0.2 * share - cost, 0.3 * share - cost], abs=0.02)


@pytest.mark.parametrize("name", NEW)
def test_nothing_dropped_is_the_model_itself(made, name):
    from clada_neuro.runtime.scoring import score

    model, calibration = made
    policy = registry.make_policy(name, ffn_layers(model.model), calibration, 0.0)
    ids = [model.tokenizer(documents()[0]).input_ids[:60]]
    own, dense = (
        score(model.model, rule, ids, prefix=8)[0].surprisal_bits[1:]
        for rule in (policy, registry.make_policy("dense", [], None))
    )
    torch.testing.assert_close(own, dense, rtol=1e-3, atol=1e-3)  # a basis turns back to rounding


@pytest.mark.parametrize("name", ["mode", "rotated", "low-rank"])
def test_kernels_refuse_what_does_more_than_leave_rows_out(made, name):
    model, calibration = made
    policy = registry.make_policy(name, ffn_layers(model.model), calibration, 0.2)
    with pytest.raises(ModelError, match="more with dropped rows"):
        check_policy(policy)


def test_a_calibration_of_before_says_so(made):
    model, calibration = made
    tensors = {key: value for key, value in calibration.tensors.items() if not key.startswith("rotated")}
    older = type(calibration)(calibration.header, tensors)
    with pytest.raises(CalibrationError, match=r"nothing of policy 'rotated' \(input\)"):
        registry.make_policy("rotated", ffn_layers(model.model), older, 0.2)
