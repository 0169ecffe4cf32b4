"""One policy object drives both paths: masks, logits and generated tokens agree, except where a score ties."""

from dataclasses import fields

import pytest
import torch
from tiny_models import VOCABULARY, tiny_model

from clada_neuro.errors import ModelError
from clada_neuro.models.loading import load_model
from clada_neuro.models.registry import ffn_layers
from clada_neuro.policies.cats import Cats
from clada_neuro.policies.controls import PeriodicRefresh, RandomLoad, ReversedLoad
from clada_neuro.policies.dense import Dense
from clada_neuro.policies.griffin import Griffin
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.cognitive_load import LoadSignal
from clada_neuro.runtime.kernels.compiled import CompiledKernel
from clada_neuro.runtime.kernels.llama_step import LlamaStep
from clada_neuro.runtime.kernels.session import KernelSession
from clada_neuro.runtime.policy import GATE, HIDDEN, INPUT, Policy
from clada_neuro.runtime.stepping import Decoder
from clada_neuro.runtime.thresholds import Compensation, ThresholdPolicy

PROMPT = torch.randint(0, VOCABULARY, (9,), generator=torch.Generator().manual_seed(4))
TEXT = "The captain looked at the sea for a long time. Then he told his crew that the storm would reach"
DRAWN = torch.randint(0, VOCABULARY, (15,), generator=torch.Generator().manual_seed(5)).tolist()
TIE = 1e-3  # relative distance of a score from its threshold within which rounding may decide
SIGNAL = LoadSignal(0.9, 7.5, 1.5, 6.0, 1.0)  # near what the random model shows


@pytest.fixture(scope="module")
def model():
    return tiny_model("llama")


@pytest.fixture(scope="module")
def step(model):
    return LlamaStep(model, context=64, threads=2)


def clada(model, prompt=PROMPT, **options) -> Clada:
    """Thresholds at the median score of the prompt, so that about half of the rows are dropped."""
    layers = ffn_layers(model)
    x, a = [], []
    handles = [
        ffn.inputs[0].register_forward_pre_hook(lambda _, args: x.append(args[0][0])) for ffn in layers
    ]
    handles += [ffn.down.register_forward_pre_hook(lambda _, args: a.append(args[0][0])) for ffn in layers]
    model(prompt[None])
    for handle in handles:
        handle.remove()
    weights = {
        INPUT: torch.stack([ffn.input_norms for ffn in layers]),
        HIDDEN: torch.stack([ffn.neuron_norms for ffn in layers]),
    }
    medians = {
        site: torch.stack([(v.abs() * w).median() for v, w in zip(values, weights[site], strict=True)])
        for site, values in ((INPUT, x), (HIDDEN, a))
    }
    bias = torch.randn(3, len(layers), layers[0].hidden_size, generator=torch.Generator().manual_seed(6))
    bias[0] = 0
    return Clada(
        thresholds=medians,
        weights=weights,
        mean_of_dropped=Compensation(torch.tensor([0.0, 1.0, 2.0]), bias),
        **options,
    )


def control(model, kind: type[Clada], **options) -> Clada:
    """The control of a policy with load."""
    policy = clada(model, kappa=0.2, signal=SIGNAL)
    return kind(**{entry.name: getattr(policy, entry.name) for entry in fields(Clada)}, **options)


POLICIES = {
    "dense": lambda model: Dense(),
    "griffin": lambda model: Griffin(sparsity=0.4),
    "thresholds": lambda model: clada(model),
    "prefix": lambda model: clada(model, gamma=0.5),
    "load": lambda model: clada(model, kappa=0.2, signal=SIGNAL),
    "reanalysis": lambda model: clada(model, kappa=0.2, signal=SIGNAL, reanalysis_load=0.2),
    "random": lambda model: control(model, RandomLoad, quantiles=torch.linspace(-2, 2, 11)),
    "reversed": lambda model: control(model, ReversedLoad),
    "periodic": lambda model: control(model, PeriodicRefresh, period=3),
    "refresh": lambda model: clada(model, gamma=0.5, kappa=0.2, signal=SIGNAL, reanalysis_load=0.2),
}


def reference(model, policy: Policy, drawn: list[int], prompt=PROMPT) -> tuple[list, list, list]:
    """Logits, masks and sparsity of every drawn token on the PyTorch path."""
    logits, masks, sparsity = [], [], []
    with torch.no_grad(), attach(model, policy) as session:
        decoder = Decoder(model, session, [prompt])
        decoder.prefill()
        for token in drawn:
            session.drawn(torch.tensor([token]))
            logits.append(decoder.step(torch.tensor([token]))[0])
            masks.append({site: mask[0, 0].clone() for site, mask in session.masks.items()})
            sparsity.append(session.ffn_sparsity()[0, 0])
    return logits, masks, sparsity


def started(model, step: LlamaStep, policy: Policy) -> KernelSession:
    """The policy in the compiled step, its prompt processed."""
    session = KernelSession(CompiledKernel(model, step), policy, PROMPT)
    session.prefill()
    return session


def drawn(session: KernelSession, token: int) -> torch.Tensor:
    """The logits after a drawn token."""
    session.observe(torch.tensor([token]))
    return session.step(torch.tensor([token]))[0]


@pytest.mark.parametrize("name", POLICIES)
def test_both_paths_agree_token_by_token(model, step, name):
    policy = POLICIES[name](model)
    logits, masks, sparsity = reference(model, policy, DRAWN)
    session = started(model, step, policy)
    for at, token in enumerate(DRAWN):
        found = drawn(session, token)
        assert float((found - logits[at]).abs().max() / logits[at].abs().max()) < 1e-4
        torch.testing.assert_close(session.ffn_sparsity()[0], sparsity[at])
        for (layer, site), mask in masks[at].items():
            if site in (INPUT, HIDDEN):
                own = step.input_mask if site == INPUT else step.neuron_mask
                assert torch.equal(own[layer], mask)
    if name != "dense":
        assert 0.1 < float(torch.stack(sparsity).mean()) < 0.9


def test_a_reanalysed_token_is_dense(model, step):
    session = started(model, step, POLICIES["reanalysis"](model))
    actions, sparsity = [], []
    for token in DRAWN:
        drawn(session, token)
        actions.append(bool(session.state.action))
        sparsity.append(float(session.ffn_sparsity().mean()))
    assert 0 < sum(actions) < len(actions)
    assert all((value == 0) == action for value, action in zip(sparsity, actions, strict=True))


def test_a_row_without_weight_is_dropped_and_back_on_a_dense_token(model, step):
    policy = ThresholdPolicy({INPUT: torch.ones(2), HIDDEN: torch.ones(2)}, {INPUT: torch.zeros(2, 24)})
    object.__setattr__(policy, "sites", (INPUT, HIDDEN))
    session = started(model, step, policy)
    drawn(session, 3)
    assert not step.input_mask.any()
    step(3, 0.0)
    assert step.input_mask.all()


def test_sessions_share_a_step_one_after_the_other(model, step):
    expected = {
        name: reference(model, POLICIES[name](model), DRAWN[:3])[0][-1]
        for name in ("load", "griffin", "dense")
    }
    for name in ("load", "griffin", "dense", "load"):
        session = started(model, step, POLICIES[name](model))
        for token in DRAWN[:3]:
            found = drawn(session, token)
        torch.testing.assert_close(found, expected[name], rtol=1e-4, atol=1e-4)


def test_a_gate_policy_is_refused(model, step):
    with pytest.raises(ModelError, match="'cats' masks gate"):
        started(model, step, Cats({GATE: torch.ones(2)}, {}))


@pytest.fixture(scope="module")
def smollm2():
    return load_model("smollm2")


class Replayed:
    """A policy on the PyTorch path whose masks come from a recording.

    Inputs of every layer then agree to rounding, so its own choice may differ from the recorded one at ties only.
    """

    def __init__(self, policy: Clada, recorded: list[dict[str, torch.Tensor]]) -> None:
        self.policy, self.recorded, self.flips = policy, recorded, 0

    def __getattr__(self, name):
        return getattr(self.policy, name)

    def select(self, layer, site, values, state):
        kept = self.recorded[int(state.step) - 1][site][layer][None, None]
        distance = self.policy.score(layer, site, values) / self.policy.threshold(layer, site, state) - 1
        flipped = self.policy.select(layer, site, values, state) != kept
        assert bool((distance[flipped].abs() < TIE).all()), (layer, site, distance[flipped])
        self.flips += int(flipped.sum())
        return kept


def test_on_the_embedded_model_masks_differ_at_ties_only_and_logits_and_tokens_agree(smollm2):
    model = smollm2.model
    prompt = smollm2.tokenizer(TEXT, return_tensors="pt").input_ids[0]
    step = LlamaStep(model, context=128)
    policy = clada(model, prompt, kappa=0.1, signal=LoadSignal(0.5, 3.0, 2.0, 3.0, 1.5))
    session = KernelSession(CompiledKernel(model, step), policy, prompt)
    logits, tokens, found, masks = session.prefill(), [], [], []
    for _ in range(16):
        tokens.append(int(logits.argmax()))
        logits = drawn(session, tokens[-1]).clone()
        found.append(logits)
        masks.append({INPUT: step.input_mask.clone(), HIDDEN: step.neuron_mask.clone()})
    replayed = Replayed(policy, masks)
    expected, _, _ = reference(model, replayed, tokens, prompt)
    for own, other in zip(found, expected, strict=True):
        assert float((own - other).abs().max() / other.abs().max()) < 1e-4
        top = other.topk(2)
        assert own.argmax() == top.indices[0] or float(top.values[0] - top.values[1]) < 1e-3
    assert replayed.flips <= 1e-4 * 16 * 30 * (576 + 1536)


def test_on_the_embedded_model_a_full_budget_equals_the_plain_model(smollm2):
    ids = smollm2.tokenizer(TEXT, return_tensors="pt").input_ids
    expected = smollm2.model(ids).logits[0]
    step = LlamaStep(smollm2.model, context=128)
    found = torch.stack([step(token).clone() for token in ids[0].tolist()])
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5
