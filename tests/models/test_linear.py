"""Linear maps by another route give the same values, where there is a choice; the choice is kept and can be fixed."""

import copy
import json

import pytest
import torch
from tiny_models import tiny_checkpoint, tiny_model
from torch import nn

from clada_neuro.errors import ModelError
from clada_neuro.models import linear
from clada_neuro.models.loading import load_model

# GPT-2 stores its weights the other way round, Falcon has a class of its own, GPT-NeoX has biases.
FAMILIES = ["llama", "gpt2", "falcon", "gpt_neox", "opt"]


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CLADA_NEURO_CACHE", str(tmp_path))
    monkeypatch.delenv(linear.VARIABLE, raising=False)
    return tmp_path


def by_onednn(model):
    linear.take(model, dict.fromkeys(all_shapes(model), linear.ONEDNN))
    return model


def all_shapes(model):
    return linear.routes(model)


@pytest.mark.parametrize("family", FAMILIES)
def test_another_route_gives_the_values_of_float64(family):
    model = tiny_model(family, scale=4.0)
    ids = torch.arange(40).reshape(2, 20) % 97
    exact = copy.deepcopy(model).double()(input_ids=ids).logits
    changed = by_onednn(model)
    assert set(linear.routes(changed).values()) == {"onednn"}
    assert sum("forward" in vars(part) for part in model.modules()) >= 4
    torch.testing.assert_close(changed(input_ids=ids).logits.double(), exact, rtol=0, atol=1e-4)


def test_each_product_is_made_by_onednn_and_its_weights_are_not_copied(monkeypatch):
    model, asked = by_onednn(tiny_model()), []
    whole = torch.ops.mkldnn._linear_pointwise
    monkeypatch.setattr(
        torch.ops.mkldnn,
        "_linear_pointwise",
        lambda x, w, *rest: asked.append(w.data_ptr()) or whole(x, w, *rest),
    )
    model(input_ids=torch.arange(20)[None])
    of_model = {name: part.weight for name, part in model.named_modules() if isinstance(part, nn.Linear)}
    long_sums = {weight.data_ptr() for name, weight in of_model.items() if "down_proj" in name}
    assert len(long_sums) == 2
    assert len(asked) == 13
    assert set(asked) == {weight.data_ptr() for weight in of_model.values()} - long_sums


def test_few_tokens_other_types_and_gradients_go_the_usual_way(monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", lambda *_: 1 / 0)
    model = by_onednn(tiny_model())
    model(input_ids=torch.arange(15)[None])
    with pytest.raises(ZeroDivisionError):
        model(input_ids=torch.arange(16)[None])
    layer = model.model.layers[0].mlp.up_proj
    layer(torch.randn(20, 24).requires_grad_()).sum().backward()
    model.double()(input_ids=torch.arange(20)[None])


def test_a_copy_computes_with_its_own_weights():
    model = by_onednn(tiny_model())
    other = copy.deepcopy(model)
    other.lm_head.weight.zero_()
    assert not other(input_ids=torch.arange(20)[None]).logits.any()
    assert model(input_ids=torch.arange(20)[None]).logits.any()


def test_routes_can_be_taken_back():
    model = by_onednn(tiny_model())
    linear.take(model, {})
    assert set(linear.routes(model).values()) == {"torch"}
    assert not any("forward" in vars(part) for part in model.modules())


@pytest.mark.parametrize(("torchs", "onednns", "expected"), [(100, 102, "torch"), (100, 110, "onednn")])
def test_the_faster_one_is_taken_and_remembered(monkeypatch, cache, torchs, onednns, expected):
    timed = []
    found = {"torch": torchs, "onednn": onednns}
    monkeypatch.setattr(linear, "_timed", lambda part: timed.append(part) or found)
    model = tiny_model()
    linear.choose(model)
    assert set(linear.routes(model).values()) == {expected}
    shapes = len(timed)
    assert shapes == len(linear.routes(model)) == 4
    linear.choose(tiny_model())
    assert len(timed) == shapes  # not again
    assert linear.speeds(model) == dict.fromkeys(linear.routes(model), found)
    (file,) = (cache / "linear").glob("*.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"24x24": {"torch": 1}}))
    linear.choose(tiny_model())
    assert len(timed) == shapes + 1  # the damaged one only


def test_timings_are_speeds_and_leave_random_numbers_alone():
    model = tiny_model()
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    found = linear.speeds(model)
    assert torch.rand(1) == expected
    assert all(speed > 0 for shape in found.values() for speed in shape.values())


@pytest.mark.parametrize("route", linear.ROUTES)
def test_the_environment_fixes_the_route(monkeypatch, route):
    monkeypatch.setenv(linear.VARIABLE, route)
    monkeypatch.setattr(linear, "_timed", lambda part: 1 / 0)
    model = tiny_model()
    linear.choose(model)
    assert set(linear.routes(model).values()) == {route}
    assert linear.speeds(model) == {}


def test_an_unknown_route_is_refused_before_anything_is_loaded(monkeypatch, tmp_path):
    monkeypatch.setenv(linear.VARIABLE, "mkldnn")
    with pytest.raises(
        ModelError, match="CLADA_NEURO_LINEAR is 'mkldnn', one of auto, torch, onednn expected"
    ):
        load_model(tmp_path / "nowhere")


def test_a_loaded_model_says_its_routes(monkeypatch, tmp_path):
    folder = tiny_checkpoint(tmp_path / "tiny")
    monkeypatch.setenv(linear.VARIABLE, "onednn")
    assert set(load_model(folder, device="cpu").describe()["linear"].values()) == {"onednn"}
    assert load_model(folder, device="cpu", dtype="float64").describe()["linear"] == {}
