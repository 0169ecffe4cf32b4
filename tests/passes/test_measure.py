import pytest
import torch
from tiny_models import POLICY_FAMILIES, tiny_model, tiny_policy

from clada_neuro.calibration.row_worth import sensitivity
from clada_neuro.models.registry import ffn_layers
from clada_neuro.passes.error import equal_error_threshold, relative_error
from clada_neuro.passes.measure import (
    DENSE_PREFIX,
    FittingPass,
    empty_table,
    mean_loss,
    measure,
    quantile,
)
from clada_neuro.policies.griffin import Griffin
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.thresholds import score

TOKENS = torch.randint(3, 97, (6, 80), generator=torch.Generator().manual_seed(0))


def test_quantile() -> None:
    values = torch.arange(100.0)[torch.randperm(100, generator=torch.Generator().manual_seed(0))]
    assert quantile(values, 0.3) == 30
    assert quantile(values, 0.0) == 0
    assert quantile(values, 1.0) == 99


@pytest.mark.parametrize("family", POLICY_FAMILIES)
def test_thresholds_fitted_layer_by_layer_drop_the_wanted_shares(family: str) -> None:
    model = tiny_model(family)
    layers = ffn_layers(model)
    weights = {
        "input": torch.stack([ffn.input_norms for ffn in layers]),
        "hidden": torch.stack([ffn.neuron_norms for ffn in layers]),
    }
    fractions = {"input": torch.tensor([0.2, 0.4]), "hidden": torch.tensor([0.7, 0.5])}

    def choose(layer: int, site: str, arrived: torch.Tensor) -> torch.Tensor:
        return quantile(score(arrived, weights, layer, site), float(fractions[site][layer]))

    fit = FittingPass(("input", "hidden"), choose, weights, empty_table(weights, 2, TOKENS.device))
    seen: dict[int, torch.Tensor] = {}
    with attach(model, fit) as session, torch.no_grad():
        for ffn in layers:  # hooked after the policy's own hooks: what arrives is masked
            ffn.inputs[0].register_forward_pre_hook(
                lambda _, args, layer=ffn.layer: seen.update({layer: args[0].reshape(*TOKENS.shape, -1)})
            )
        session.begin(len(TOKENS))
        scale = torch.ones(TOKENS.shape)
        scale[:, :DENSE_PREFIX] = 0
        session.plan(scale, torch.zeros(TOKENS.shape, dtype=torch.bool))
        model(TOKENS)
        for ffn in layers:
            a = ffn.hidden(seen[ffn.layer][:, DENSE_PREFIX:].contiguous())
            zeros = {"input": 0.0, "hidden": float((a == 0).float().mean())}  # ReLU's are dropped for nothing
            for site, wanted in fractions.items():
                dropped = 1 - session.masks[ffn.layer, site][:, DENSE_PREFIX:].float().mean()
                expected = max(zeros[site], float(wanted[ffn.layer]))
                assert float(dropped) == pytest.approx(expected, abs=0.002)


@pytest.mark.parametrize("family", ["llama", "phi3", "gpt2", "opt"])
def test_compensation_is_the_mean_of_what_the_block_loses(family: str) -> None:
    model = tiny_model(family)
    layers = ffn_layers(model)
    recorder = mean_loss(tiny_policy(model), layers)
    seen = {}
    hook = layers[0].inputs[0].register_forward_pre_hook(lambda m, a: seen.update(x=a[0]))
    out = layers[0].down.register_forward_hook(lambda m, a, o: seen.update(masked=o))
    measure(model, recorder, TOKENS)
    hook.remove()
    out.remove()
    x = seen["x"].reshape(*TOKENS.shape, -1)[:, DENSE_PREFIX:].contiguous()
    masked = seen["masked"].reshape(*TOKENS.shape, -1)[:, DENSE_PREFIX:]
    dense = layers[0].output(layers[0].hidden(x))
    torch.testing.assert_close(recorder.bias[0], (dense - masked).mean((0, 1)), rtol=1e-4, atol=1e-5)
    assert 0 < float(recorder.relative_error[0]) < 1.5


def test_equal_error_threshold_meets_its_error() -> None:
    torch.manual_seed(0)
    ffn = ffn_layers(tiny_model())[0]
    a = torch.randn(300, ffn.intermediate_size)
    threshold = equal_error_threshold(ffn, a, 0.3)
    kept = a * (a.abs() * ffn.neuron_norms >= threshold)
    assert relative_error(ffn.output(a), ffn.output(kept)) == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("family", ["llama", "opt"])
def test_sensitivity_predicts_the_divergence_of_a_small_drop(family: str) -> None:
    """Half the dropped rows' squared gradient effect is near the measured KL divergence."""
    model = tiny_model(family)
    tokens = torch.randint(3, 97, (40, 80), generator=torch.Generator().manual_seed(3))
    found = sensitivity(model, tokens, 0, lambda done: None)
    layer, share = 1, 2  # 30 % of the last layer's neurons
    layers = ffn_layers(model)
    with torch.no_grad():
        dense = model(tokens).logits.log_softmax(-1)

        def drop(module, args):
            scores = (args[0].abs() * found.weights["hidden"][layer]).reshape(*tokens.shape, -1)
            cut = quantile(scores[:, DENSE_PREFIX:], 0.3)
            return ((args[0].reshape(scores.shape) * (scores >= cut)).reshape(args[0].shape),)

        handle = layers[layer].down.register_forward_pre_hook(drop)
        sparse = model(tokens).logits.log_softmax(-1)
        handle.remove()
    measured = (dense.exp() * (dense - sparse)).sum(-1)[:, DENSE_PREFIX:].mean()
    assert float(found.losses["hidden"][layer, share]) == pytest.approx(float(measured), rel=0.35)
    assert (found.losses["hidden"].diff(dim=1) > -1e-4).all()


def test_measuring_leaves_no_trace() -> None:
    model = tiny_model()
    with torch.no_grad():
        before = model(TOKENS).logits
        measure(model, Griffin(sparsity=0.5), TOKENS)
        assert torch.equal(model(TOKENS).logits, before)
