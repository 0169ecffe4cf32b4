"""From any place of the residual stream a model predicts by its own tail, which is tried before it is believed."""

from dataclasses import replace

import pytest
import torch
from tiny_models import FAMILIES, tiny_model

from clada_neuro.models import families
from clada_neuro.models.stream import EMBEDDED, Stream, stream_of

IDS = torch.tensor([[5, 9, 13, 21, 34, 55], [6, 8, 15, 22, 33, 44]])


@pytest.mark.parametrize("kind", [*FAMILIES, "mixtral", "gpt_oss"])
def test_the_last_place_gives_the_models_own_predictions(kind):
    model = tiny_model(kind)
    stream, reason = stream_of(model)
    assert stream is not None
    assert not stream.no_lens
    assert not reason
    with torch.inference_mode():
        with stream.recorded([EMBEDDED, 0, 1]) as found:
            own = model(input_ids=IDS).logits
        torch.testing.assert_close(stream.predict(found[1]), own, rtol=1e-5, atol=1e-5)
        assert (stream.predict(found[0]) - own).abs().max() > 0.01
    assert {states.shape for states in found.values()} == {(2, 6, 24)}


def test_places_are_the_hidden_states_that_the_model_returns():
    model = tiny_model("gpt2")
    stream = Stream(model)
    with torch.inference_mode(), stream.recorded([EMBEDDED, 0]) as found:
        states = model(input_ids=IDS, output_hidden_states=True).hidden_states
    assert torch.equal(found[EMBEDDED], states[0])
    assert torch.equal(found[0], states[1])


def test_the_model_is_left_as_it_was_also_after_a_failure():
    model = tiny_model("gemma2")
    before = model(input_ids=IDS).logits
    stream = Stream(model)
    with pytest.raises(RuntimeError, match="halt"), stream.recorded([0]):
        raise RuntimeError("halt")
    with pytest.raises(RuntimeError):
        stream.predict(torch.zeros(2, 7))
    assert torch.equal(model(input_ids=IDS).logits, before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert "forward" not in vars(model.model)


def test_a_wrong_norm_is_told_by_how_far_it_is(monkeypatch):
    model = tiny_model("llama")
    model.model.other = torch.nn.LayerNorm(24)
    monkeypatch.setitem(families.FAMILIES, "llama", replace(families.FAMILIES["llama"], norm="model.other"))
    assert "bits from the model's own, 1e-05 allowed" in Stream(model).no_lens


@pytest.mark.parametrize("kind", ["mamba", "jamba", "rwkv"])
def test_models_of_another_build_have_none_with_the_reason(kind):
    stream, reason = stream_of(tiny_model(kind))
    assert stream is None
    assert reason.startswith(f"model type '{kind}' has no residual stream that is known here")


def test_a_family_without_final_norm_keeps_its_stream():
    stream, _ = stream_of(tiny_model("opt", do_layer_norm_before=False))
    assert stream is not None
    assert "cannot be run alone" in stream.no_lens
