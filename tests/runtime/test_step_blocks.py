"""The compiled step on a model in blocks of GGUF: the model's own numbers, dense and under masks, wherever it decodes.

Its activations are whole numbers of 32,639ths of each block's largest: logits agree to 4e-4 of the largest.
"""

from copy import deepcopy

import pytest
import torch
from runtime.test_kernels_compiled import POLICIES
from tiny_models import VOCABULARY, tiny_model
from transformers import PreTrainedModel

from clada_neuro.errors import ModelError
from clada_neuro.models.ggml import KINDS, precision_of, quantise
from clada_neuro.models.registry import ffn_layers
from clada_neuro.policies.dense import Dense
from clada_neuro.policies.griffin import Griffin
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.kernels.compiled import CompiledKernel
from clada_neuro.runtime.kernels.llama_step import LlamaStep
from clada_neuro.runtime.kernels.session import KernelSession
from clada_neuro.runtime.policy import HIDDEN, INPUT
from clada_neuro.runtime.runner import compiled, runner_for
from clada_neuro.runtime.stepping import Decoder

IDS = torch.randint(0, VOCABULARY, (1, 24), generator=torch.Generator().manual_seed(3))
# 160 neurons: three threads have parts of their own that are not full.
SHAPE = dict(hidden_size=64, intermediate_size=160, num_attention_heads=4, num_key_value_heads=2, head_dim=16)
PROMPT = IDS[0, :9]
BOTH = pytest.mark.parametrize("kind", KINDS)
CLOSE = 4e-4


def in_blocks(kind: str, family: str = "llama", **changed: object) -> PreTrainedModel:
    model = tiny_model(family, **{**SHAPE, **changed})
    quantise(model, kind)
    return model


@pytest.fixture(scope="module", params=KINDS)
def model(request):
    return in_blocks(request.param)


def logits_of(step: LlamaStep, ids: torch.Tensor) -> torch.Tensor:
    return torch.stack([step(token).clone() for token in ids.tolist()])


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@BOTH
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("tied", [True, False])
def test_full_budget_equals_the_model_whose_weights_are_the_blocks_numbers(kind, threads, tied):
    model = in_blocks(kind, tie_word_embeddings=tied)
    step = LlamaStep(model, context=32, threads=threads)
    assert relative(logits_of(step, IDS[0]), model(IDS).logits[0]) < CLOSE


@BOTH
def test_mistral_and_heads_that_are_wider_than_the_hidden_size(kind):
    model = in_blocks(kind, "mistral", sliding_window=None, head_dim=32)
    assert relative(logits_of(LlamaStep(model, context=32), IDS[0]), model(IDS).logits[0]) < CLOSE


@BOTH
def test_a_hidden_size_that_is_no_whole_number_of_groups(kind):
    model = in_blocks(kind, hidden_size=96)
    assert relative(logits_of(LlamaStep(model, context=32), IDS[0]), model(IDS).logits[0]) < CLOSE


def test_it_is_another_model_than_its_float_weights(model):
    floats = tiny_model(**SHAPE)(IDS).logits[0]
    assert relative(logits_of(LlamaStep(model, context=32), IDS[0]), floats) > 10 * CLOSE


@pytest.mark.parametrize("threads", [1, 3])
def test_recorded_masks_replayed_give_the_logits_of_the_masked_model(model, threads):
    generator = torch.Generator().manual_seed(5)
    kept = [torch.rand(2, rows, generator=generator) < share for rows, share in ((64, 0.7), (160, 0.4))]
    handles = []
    for layer, block in enumerate(model.model.layers):
        for linear, mask in (
            (block.mlp.gate_proj, kept[0][layer]),
            (block.mlp.up_proj, kept[0][layer]),
            (block.mlp.down_proj, kept[1][layer]),
        ):
            handles.append(linear.register_forward_pre_hook(lambda _, args, mask=mask: (args[0] * mask,)))
    masked = model(IDS).logits[0]
    for handle in handles:
        handle.remove()
    step = LlamaStep(model, context=32, threads=threads)
    step.use_cutoffs(*(torch.where(mask, 0.0, torch.inf) for mask in kept))
    assert relative(logits_of(step, IDS[0]), masked) < CLOSE
    assert torch.equal(step.input_mask, kept[0])
    assert torch.equal(step.neuron_mask, kept[1])


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "griffin"])
def test_both_paths_agree_token_by_token_until_a_score_ties(model, name):
    """Where rounding drops a row on one path that the other keeps, everything after it is another text."""
    policy = POLICIES[name](model)
    step = LlamaStep(model, context=64, threads=3)
    session = KernelSession(CompiledKernel(model, step), policy, PROMPT)
    session.prefill()
    agreed = 0
    with torch.no_grad(), attach(model, policy) as hooked:
        decoder = Decoder(model, hooked, [PROMPT])
        decoder.prefill()
        for token in IDS[0, 9:, None]:
            hooked.drawn(token)
            expected = decoder.step(token)[0]
            session.observe(token)
            found = session.step(token)[0]
            own = {INPUT: step.input_mask, HIDDEN: step.neuron_mask}
            differ = sum(
                int((own[site][layer] != mask[0, 0]).sum()) for (layer, site), mask in hooked.masks.items()
            )
            if differ:
                assert differ <= 2
                break
            agreed += 1
            assert relative(found, expected) < CLOSE
            torch.testing.assert_close(session.ffn_sparsity()[0], hooked.ffn_sparsity()[0, 0])
    assert agreed >= 4


def test_sparsity_counts_the_scales_which_are_read_whatever_is_kept(model):
    step = LlamaStep(model, context=32)
    session = KernelSession(CompiledKernel(model, step), POLICIES["thresholds"](model), PROMPT)
    session.prefill()
    step.use_cutoffs(torch.full((2, 64), torch.inf), torch.full((2, 160), torch.inf))
    session.observe(IDS[0, 9:10])
    session.step(IDS[0, 9:10])
    # Rows of 320 and 64 numbers, in whole cache lines, and what 32 weights share.
    rows, shared = {"q8_0": (64 * 320 + 160 * 64, 2), "q4_1": (64 * 192 + 160 * 64, 4)}[precision_of(model)]
    assert session.ffn_sparsity()[0].tolist() == pytest.approx(
        [rows / (rows + 3 * 64 * 160 / 32 * shared)] * 2
    )


def test_a_set_of_neurons_is_left_to_pytorch(model):
    with runner_for(model, Griffin(sparsity=0.5), [PROMPT], 8) as runner:
        assert isinstance(runner, Decoder)
    with runner_for(model, Dense(), [PROMPT], 8) as runner:
        assert isinstance(runner, KernelSession)
    with pytest.raises(ModelError, match="blocks of 32 cannot be taken apart; use float32 or bfloat16"):
        LlamaStep(model, context=32).use_neurons(ffn_layers(model), torch.arange(32).expand(2, 32))


def test_weights_changed_after_loading_are_refused_where_blocks_are_read(model):
    changed = deepcopy(model)
    changed.model.layers[0].mlp.up_proj.weight.mul_(0.5)
    with pytest.raises(ModelError, match="was changed after"), compiled(changed, Dense(), PROMPT, 32):
        pass
