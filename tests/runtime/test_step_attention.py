"""Rows of attention's maps left out in the compiled step: the masked model's numbers, in every width, and the PyTorch path's."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from runtime.test_kernels_compiled import DRAWN, PROMPT, Replayed, drawn
from runtime.test_step_blocks import in_blocks
from tiny_models import VOCABULARY, tiny_model, tiny_policy
from transformers import PreTrainedModel

from clada_neuro.models.ggml import KINDS
from clada_neuro.models.loading import load_model
from clada_neuro.models.registry import ffn_layers
from clada_neuro.policies.controls import RandomLoad
from clada_neuro.policies.dense import Dense
from clada_neuro.policies.griffin import Griffin
from clada_neuro.policies.registry import policy_for
from clada_neuro.policies.teal import Teal
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.kernels.compiled import CompiledKernel
from clada_neuro.runtime.kernels.llama_step import LlamaStep
from clada_neuro.runtime.kernels.session import KernelSession
from clada_neuro.runtime.policy import rows
from clada_neuro.runtime.runner import runner_for
from clada_neuro.runtime.stepping import Decoder

IDS = torch.randint(0, VOCABULARY, (1, 24), generator=torch.Generator().manual_seed(3))
SITES = ("input", "hidden", "qkv", "out")
WIDE = dict(hidden_size=42, intermediate_size=100, num_attention_heads=6, num_key_value_heads=2, head_dim=10)
MODELS = {
    "float32": lambda: tiny_model("llama"),
    "odd heads": lambda: tiny_model("llama", **WIDE),
    "bfloat16": lambda: tiny_model("llama").bfloat16(),
    "q8_0": lambda: in_blocks("q8_0"),
    "q4_1": lambda: in_blocks("q4_1"),
}
CLOSE = dict.fromkeys(KINDS, 4e-4)  # activations are rounded there


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def logits_of(step: LlamaStep, ids: torch.Tensor) -> torch.Tensor:
    return torch.stack([step(token).clone() for token in ids.tolist()])


def masked_in_float64(
    model: PreTrainedModel, kept: dict[str, torch.Tensor], bias: dict[str, torch.Tensor]
) -> torch.Tensor:
    """Logits of the same numbers in float64: values times masks before each map, its bias after it."""
    model = deepcopy(model).double()
    for layer, block in enumerate(model.model.layers):
        attention, ffn = block.self_attn, block.mlp
        start = 0
        for part in (attention.q_proj, attention.k_proj, attention.v_proj):
            part.bias = torch.nn.Parameter(bias["qkv"][layer, start : start + part.out_features].double())
            start += part.out_features
        attention.o_proj.bias = torch.nn.Parameter(bias["out"][layer].double())
        ffn.down_proj.bias = torch.nn.Parameter(bias["hidden"][layer].double())
        for site, parts in {
            "qkv": (attention.q_proj, attention.k_proj, attention.v_proj),
            "out": (attention.o_proj,),
            "input": (ffn.gate_proj, ffn.up_proj),
            "hidden": (ffn.down_proj,),
        }.items():
            for part in parts:
                part.register_forward_pre_hook(
                    lambda _, args, mask=kept[site][layer]: (args[0] * mask.double(),)
                )
    with torch.no_grad():
        return model(IDS).logits[0]


def drawn_masks(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    source = torch.Generator().manual_seed(5)
    layers = ffn_layers(model)
    return {site: torch.rand(2, rows(layers[0], site), generator=source) < 0.6 for site in SITES}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("threads", [1, 3])
def test_masks_and_biases_of_every_site_give_the_masked_model_in_float64(name, threads):
    model = MODELS[name]()
    kept = drawn_masks(model)
    source = torch.Generator().manual_seed(6)
    attention, hidden = ffn_layers(model)[0].attention, ffn_layers(model)[0].hidden_size
    wide = {"qkv": attention.qkv_weight.shape[0], "out": hidden, "hidden": hidden}
    bias = {site: 0.3 * torch.randn(2, width, generator=source) for site, width in wide.items()}
    step = LlamaStep(model, context=32, threads=threads)
    step.use_cutoffs(*(torch.where(kept[site], 0.0, torch.inf) for site in SITES))
    for place, site in ((step.bias, "hidden"), (step.qkv_bias, "qkv"), (step.out_bias, "out")):
        place.copy_(bias[site])
    expected = masked_in_float64(model, kept, bias)
    assert relative(logits_of(step, IDS[0]).double(), expected) < CLOSE.get(name, 1e-5)
    for own, site in zip(
        (step.input_mask, step.neuron_mask, step.qkv_mask, step.out_mask), SITES, strict=True
    ):
        assert torch.equal(own, kept[site])


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("threads", [1, 3])
def test_nothing_dropped_is_the_plain_model(name, threads):
    model = MODELS[name]()
    step = LlamaStep(model, context=32, threads=threads)
    size = {site: torch.zeros(2, rows(ffn_layers(model)[0], site)) for site in SITES}
    step.use_cutoffs(qkv=size["qkv"], out=size["out"])
    with torch.no_grad():
        expected = deepcopy(model).double()(IDS).logits[0]
    assert relative(logits_of(step, IDS[0]).double(), expected) < CLOSE.get(name, 1e-5)
    assert step.qkv_mask.all()
    assert step.out_mask.all()


def everywhere(model: PreTrainedModel, threshold: float) -> dict[str, torch.Tensor]:
    return {site: torch.full((len(ffn_layers(model)),), threshold) for site in SITES}


def random_load(model: PreTrainedModel) -> RandomLoad:
    policy = tiny_policy(model, kappa=0.2, scope="all")
    return RandomLoad(**vars(policy), quantiles=torch.linspace(-2, 2, 11))


POLICIES = {
    "clada": lambda model: tiny_policy(model, gamma=0.3, kappa=0.3, scope="all"),
    "reanalysis": lambda model: tiny_policy(model, kappa=0.2, reanalysis_load=0.3, scope="all"),
    "refresh": lambda model: tiny_policy(model, gamma=0.5, kappa=0.2, reanalysis_load=0.3, scope="all"),
    "random load": random_load,
    "teal": lambda model: Teal(everywhere(model, 0.4), {}),
    "queries alone": lambda model: replace(
        tiny_policy(model, scope="all"),
        thresholds={site: at for site, at in everywhere(model, 0.5).items() if site != "out"},
        mean_at={},
    ),
}


@pytest.mark.parametrize("kind", ["float32", "q8_0"])
@pytest.mark.parametrize("name", POLICIES)
def test_both_paths_agree_token_by_token(kind, name):
    model = MODELS[kind]()
    policy = POLICIES[name](model)
    step = LlamaStep(model, context=64, threads=2)
    session = KernelSession(CompiledKernel(model, step), policy, PROMPT)
    session.prefill()
    seen = []
    with torch.no_grad(), attach(model, policy) as hooked:
        decoder = Decoder(model, hooked, [PROMPT])
        decoder.prefill()
        for token in DRAWN:
            hooked.drawn(torch.tensor([token]))
            expected = decoder.step(torch.tensor([token]))[0]
            assert relative(drawn(session, token), expected) < CLOSE.get(kind, 1e-4)
            for measure in ("ffn_sparsity", "sparsity"):
                torch.testing.assert_close(getattr(session, measure)(), getattr(decoder, measure)())
            for site, share in decoder.dropped().items():
                torch.testing.assert_close(session.dropped()[site], share)
            for (layer, site), mask in hooked.masks.items():
                assert torch.equal(session.kernel.masks[site][layer], mask[0, 0]), (layer, site)
            seen.append(session.dropped())
    for site in (*policy.attention_sites, *policy.sites):
        assert 0.02 < float(torch.stack([share[site] for share in seen]).mean()) < 0.98, site
    assert policy.attention_sites


def test_the_next_sequence_of_a_step_reads_attention_whole_again():
    model = tiny_model("llama")
    step = LlamaStep(model, context=64, threads=2)
    plain = step.nbytes
    for policy in (POLICIES["clada"](model), Dense(), Griffin(sparsity=0.5), POLICIES["clada"](model)):
        session = KernelSession(CompiledKernel(model, step), policy, PROMPT)
        session.prefill()
        found = drawn(session, 7).clone()
        with runner_for(model, policy, [PROMPT, PROMPT], 8) as hooked, torch.no_grad():
            assert isinstance(hooked, Decoder)
            hooked.prefill()
            hooked.observe(torch.tensor([7, 7]))
            torch.testing.assert_close(found, hooked.step(torch.tensor([7, 7]))[0], rtol=1e-4, atol=1e-4)
    assert step.nbytes > plain  # the copy by input stays for the next


def test_one_sequence_is_decoded_in_the_compiled_step():
    model = tiny_model("llama")
    with runner_for(model, POLICIES["clada"](model), [PROMPT], 8) as runner:
        assert isinstance(runner, KernelSession)
    gpt2 = tiny_model("gpt2")
    with runner_for(gpt2, tiny_policy(gpt2, scope="all"), [PROMPT], 8) as runner:
        assert isinstance(runner, Decoder)


def test_on_the_embedded_model_masks_differ_at_ties_only_and_logits_agree():
    smollm2 = load_model("smollm2")
    model, policy = smollm2.model, policy_for(smollm2, "teal", 0.4, scope="all")
    text = "The captain looked at the sea for a long time. Then he told his crew that the storm would reach"
    prompt = smollm2.tokenizer(text, return_tensors="pt").input_ids[0]
    session = KernelSession(CompiledKernel(model, LlamaStep(model, context=128)), policy, prompt)
    logits, tokens, found, masks, shares = session.prefill(), [], [], [], []
    for _ in range(12):
        tokens.append(int(logits.argmax()))
        logits = drawn(session, tokens[-1])[None].clone()
        found.append(logits[0])
        masks.append({site: mask.clone() for site, mask in session.kernel.masks.items()})
        shares.append(float(session.sparsity().mean()))
    replayed = Replayed(policy, masks)
    with torch.no_grad(), attach(model, replayed) as hooked:
        decoder = Decoder(model, hooked, [prompt])
        decoder.prefill()
        for token, own in zip(tokens, found, strict=True):
            hooked.drawn(torch.tensor([token]))
            assert relative(own, decoder.step(torch.tensor([token]))[0]) < 1e-4
    assert replayed.flips <= 1e-4 * 12 * 30 * (3 * 576 + 1536)
    assert 0.35 < sum(shares) / len(shares) < 0.45
