"""The Triton kernels, on a GPU where there is one, else in Triton's interpreter; and what surrounds them.

One policy object drives this path and the PyTorch path: masks, logits and sparsity agree, except where a score ties.
"""

import importlib
import os
import sys
from dataclasses import replace

import pytest
import torch
from tiny_models import VOCABULARY, tiny_model, tiny_policy
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoConfig, AutoModelForCausalLM

from clada_neuro.errors import ModelError
from clada_neuro.models.registry import ffn_layers
from clada_neuro.policies.cats import Cats
from clada_neuro.policies.dense import Dense
from clada_neuro.policies.griffin import Griffin
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.cognitive_load import LoadSignal
from clada_neuro.runtime.kernels import reference
from clada_neuro.runtime.kernels.selection import cutoffs
from clada_neuro.runtime.kernels.session import KernelSession
from clada_neuro.runtime.policy import GATE, HIDDEN, INPUT, Policy
from clada_neuro.runtime.prefix import Prefix
from clada_neuro.runtime.runner import _fast_runner, hooked, in_graph
from clada_neuro.runtime.stepping import Decoder

GPU = torch.cuda.is_available()
cuda = pytest.importorskip(
    "clada_neuro.runtime.kernels.cuda",
    reason="Triton is not installed: pip install 'clada-neuro[cuda]'",
    exc_type=ModelError,
)
if not GPU and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("neither a GPU nor TRITON_INTERPRET=1", allow_module_level=True)
Blocks, CudaKernel, TokenGraph = cuda.Blocks, cuda.CudaKernel, cuda.TokenGraph

DEVICE = "cuda" if GPU else "cpu"
PROMPT = torch.randint(0, VOCABULARY, (9,), generator=torch.Generator().manual_seed(4)).to(DEVICE)
DRAWN = torch.randint(0, VOCABULARY, (8, 1), generator=torch.Generator().manual_seed(5)).to(DEVICE)
DTYPES = [torch.float32, torch.bfloat16]


def on_device(policy: Policy) -> Policy:
    """The same policy with its tensors where the model is."""
    for table in (getattr(policy, "thresholds", {}), getattr(policy, "weights", {})):
        table.update({site: tensor.to(DEVICE) for site, tensor in table.items()})
    mean = getattr(policy, "mean_of_dropped", None)
    if mean is not None:
        object.__setattr__(mean, "scales", mean.scales.to(DEVICE))
        object.__setattr__(mean, "bias", mean.bias.to(DEVICE))
    return policy


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.float() - expected.float()).abs().max() / expected.float().abs().max())


@pytest.fixture(scope="module")
def model():
    return tiny_model("llama").to(DEVICE)


@pytest.fixture(scope="module")
def wide():
    """A layer of several chunks and column blocks, none of them full."""
    config = AutoConfig.for_model(
        "llama", vocab_size=11, hidden_size=264, intermediate_size=300, num_hidden_layers=1, num_attention_heads=4
    )  # fmt: skip
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False).to(DEVICE)
    for weight in model.model.layers[0].mlp.parameters():
        weight.mul_(4)
    return model


SIGNAL = LoadSignal(0.9, 7.5, 1.5, 6.0, 1.0)  # near what the random model shows


def loaded(model, **options) -> Policy:
    return replace(tiny_policy(model, 0.7, kappa=0.2, **options), signal=SIGNAL)


POLICIES = {
    "dense": lambda model: Dense(),
    "griffin": lambda model: Griffin(sparsity=0.4),
    "thresholds": lambda model: tiny_policy(model, 0.7),
    "prefix": lambda model: tiny_policy(model, 0.7, gamma=0.5),
    "load": lambda model: loaded(model),
    "reanalysis": lambda model: loaded(model, reanalysis_load=0.2),
    "refresh": lambda model: loaded(model, gamma=0.5, reanalysis_load=0.2),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_kept_rows_are_summed_and_dropped_rows_are_not_read(dtype, share):
    generator = torch.Generator().manual_seed(0)
    n, m = 300, 200
    values, keep = torch.randn(n, generator=generator), torch.rand(n, generator=generator) < share
    rows = torch.randn(n, m, generator=generator).to(dtype)
    expected = reference.kept_rows(values, rows.float(), keep)
    rows[~keep] = torch.nan
    cutoff = torch.where(keep, 0.0, 1e30)
    values, rows, cutoff = values.to(DEVICE), rows.to(DEVICE), cutoff.to(DEVICE)
    parts = torch.full((2, m), torch.nan, device=DEVICE)
    mask = torch.zeros(n, dtype=torch.bool, device=DEVICE)
    scale = torch.ones(1, device=DEVICE)
    grid = (2, 2)
    cuda._add_rows[grid](parts, rows, values, cutoff, scale, mask, n, m, cuda.CHUNK, cuda.TILE, cuda.COLUMNS)
    assert torch.equal(mask.cpu(), keep)
    torch.testing.assert_close(parts.sum(0).cpu(), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_block_is_that_of_the_reference(wide, dtype):
    wide = wide.to(dtype)
    ffn = ffn_layers(wide)[0]
    policy = on_device(tiny_policy(wide, 0.7))
    state = policy.init(Prefix(1, DEVICE))
    state.scale = torch.full((1, 1), 1.2, device=DEVICE)
    x = torch.randn(264, generator=torch.Generator().manual_seed(2)).to(DEVICE, dtype)
    blocks = Blocks(wide)
    blocks.use_neurons()
    decided = cutoffs(policy, [ffn], state)
    blocks.use_cutoffs(decided[INPUT], decided[HIDDEN])
    blocks.scale.copy_(state.scale[0])
    blocks.bias.copy_(policy.mean_of_dropped.of_token(state.scale[0]))
    found = blocks.forward(0, x[None, None])[0, 0]
    assert found.dtype == dtype
    # Kernels round nothing but the output (the interpreter cuts it off), so the same numbers in float32 are exact.
    exact = ffn_layers(wide.to(torch.float32))[0]
    assert relative(found, reference.block(exact, policy, state, x.float())) < (
        1e-5 if dtype == torch.float32 else 2**-7
    )
    assert torch.equal(blocks.input_mask[0], policy.select(0, INPUT, x.float()[None, None], state)[0, 0])
    a = blocks.activity[0]
    assert torch.equal(blocks.neuron_mask[0], policy.select(0, HIDDEN, a[None, None], state)[0, 0])
    assert 0.1 < float(blocks.input_mask.float().mean()) < 0.9
    assert 0.1 < float(blocks.neuron_mask.float().mean()) < 0.9


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_full_budget_equals_the_dense_block(wide, dtype):
    wide = wide.to(dtype)
    x = torch.randn(1, 1, 264, generator=torch.Generator().manual_seed(3)).to(DEVICE, dtype)
    blocks = Blocks(wide)
    blocks.use_neurons()
    assert relative(blocks.forward(0, x), wide.model.layers[0].mlp(x)) < (
        1e-5 if dtype == torch.float32 else 2e-2
    )
    assert blocks.input_mask.all()
    assert blocks.neuron_mask.all()


def on_the_pytorch_path(model, policy: Policy) -> tuple[list, list, list]:
    """Logits, masks and sparsity of every drawn token."""
    logits, masks, sparsity = [], [], []
    with torch.no_grad(), attach(model, policy) as session:
        decoder = Decoder(model, session, [PROMPT])
        decoder.prefill()
        for token in DRAWN:
            session.drawn(token)
            logits.append(decoder.step(token)[0])
            masks.append({site: mask[0, 0].clone() for site, mask in session.masks.items()})
            sparsity.append(session.ffn_sparsity()[0, 0])
    return logits, masks, sparsity


def session_of(graph, policy: Policy) -> KernelSession:
    return KernelSession(CudaKernel(graph), policy, PROMPT)


def drawn(session: KernelSession, token: torch.Tensor) -> torch.Tensor:
    """The logits after a drawn token."""
    session.observe(token)
    return session.step(token)


@pytest.mark.parametrize("name", POLICIES)
def test_both_paths_agree_token_by_token(model, name):
    policy = on_device(POLICIES[name](model))
    logits, masks, sparsity = on_the_pytorch_path(model, policy)
    session = session_of(TokenGraph(model, 32, Blocks(model)), policy)
    session.prefill()
    for at, token in enumerate(DRAWN):
        assert relative(drawn(session, token)[0], logits[at]) < 1e-4
        torch.testing.assert_close(session.ffn_sparsity()[0], sparsity[at])
        for (layer, site), mask in masks[at].items():
            if site in (INPUT, HIDDEN):
                own = session.kernel.input_mask if site == INPUT else session.kernel.neuron_mask
                assert torch.equal(own[layer], mask)
    if name != "dense":
        assert 0.1 < float(torch.stack(sparsity).mean()) < 0.9
    if name in ("reanalysis", "refresh"):
        dense = [float(value.max()) == 0 for value in sparsity]
        assert 0 < sum(dense) < len(dense)


def test_sessions_share_a_graph_one_after_the_other(model):
    graph = TokenGraph(model, 32, Blocks(model))
    for name in ("griffin", "dense", "thresholds", "griffin"):
        policy = on_device(POLICIES[name](model))
        session = session_of(graph, policy)
        session.prefill()
        for token in DRAWN[:2]:
            found = drawn(session, token)
        assert relative(found[0], on_the_pytorch_path(model, policy)[0][1]) < 1e-4


def test_the_models_own_blocks_run_in_the_graph_too(model):
    graph = TokenGraph(model, 32)
    ids = torch.cat([PROMPT, DRAWN[:, 0]])
    expected = model(ids[None]).logits[0]
    found = [graph.prefill(PROMPT)]
    graph.capture()
    found += [graph(token).clone() for token in DRAWN]
    assert relative(torch.cat(found), expected[len(PROMPT) - 1 :]) < 1e-5


def test_the_model_is_itself_again_also_after_an_error(model):
    blocks = Blocks(model)
    blocks.use_neurons()
    with pytest.raises(RuntimeError, match="stop"), blocks.in_place():
        raise RuntimeError("stop")
    assert all("forward" not in ffn.module.__dict__ for ffn in ffn_layers(model))


class NoReading(TorchDispatchMode):
    """Fail where a number would have to come from the device before the host can go on."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function not in (
            torch.ops.aten._local_scalar_dense.default,
            torch.ops.aten.nonzero.default,
            torch.ops.aten.equal.default,
        ), function
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["dense", "griffin", "thresholds", "load", "reanalysis"])
def test_the_host_reads_no_number_from_the_device_for_a_token(model, name, monkeypatch):
    if not GPU:  # the interpreter computes on the host, so the kernels are left out
        monkeypatch.setattr(Blocks, "forward", lambda self, layer, x: torch.empty_like(x).fill_(0.1))
    session = session_of(TokenGraph(model, 32, Blocks(model)), on_device(POLICIES[name](model)))
    session.prefill()
    with NoReading():
        for token in DRAWN[:2]:
            drawn(session, token)


def test_a_sequence_beyond_the_context_is_refused(model):
    graph = TokenGraph(model, 10)
    graph.prefill(PROMPT)
    graph(DRAWN[0])
    with pytest.raises(ModelError, match="context of 10 tokens"):
        graph(DRAWN[1])
    with pytest.raises(ModelError, match="context of 4 tokens"):
        TokenGraph(model, 4).prefill(PROMPT)


@pytest.mark.parametrize(
    ("family", "reason"),
    [("gpt2", "gated"), ("opt", "gated"), ("gemma", "hidden_act"), ("mistral", "sliding_window")],
)
def test_another_architecture_is_refused(family, reason):
    with pytest.raises(ModelError, match=reason):
        Blocks(tiny_model(family))


def test_a_gate_policy_is_refused(model):
    with pytest.raises(ModelError, match="'cats' masks gate"):
        session_of(TokenGraph(model, 32, Blocks(model)), Cats({GATE: torch.ones(2)}, {}))


@pytest.mark.parametrize("family", ["qwen2", "qwen3", "phi3"])
def test_other_gated_families_agree(family):
    model = tiny_model(family)
    model.config.sliding_window = None
    model = model.to(DEVICE)
    policy = on_device(tiny_policy(model, 0.7))
    logits, _, _ = on_the_pytorch_path(model, policy)
    session = session_of(TokenGraph(model, 32, Blocks(model)), policy)
    session.prefill()
    for at, token in enumerate(DRAWN[:3]):
        assert relative(drawn(session, token)[0], logits[at]) < 1e-4


def test_one_sequence_on_a_gpu_is_generated_with_these_kernels(model, monkeypatch):
    monkeypatch.setattr(type(model), "device", torch.device("cuda"))
    policy = POLICIES["thresholds"](model)
    assert _fast_runner(model, policy) is in_graph
    assert _fast_runner(model, Cats({GATE: torch.ones(2)}, {})) is None
    assert _fast_runner(tiny_model("gpt2"), policy) is None


def test_without_triton_hooks_take_over(model, monkeypatch):
    monkeypatch.setattr(type(model), "device", torch.device("cuda"))
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, cuda.__name__)
    monkeypatch.delattr("clada_neuro.runtime.kernels.cuda")
    assert _fast_runner(model, POLICIES["thresholds"](model)) is None
    with pytest.raises(ModelError, match="need Triton"):
        importlib.import_module(cuda.__name__)


def test_the_graph_gives_what_the_hooked_model_gives(model):
    policy = on_device(POLICIES["load"](model))
    other = tiny_model("llama").to(DEVICE)  # a model carries one policy at a time
    with in_graph(model, policy, PROMPT, 32) as fast, hooked(other, policy, [PROMPT]) as slow:
        assert relative(fast.prefill(), slow.prefill()) < 1e-5
        for token in DRAWN[:4]:
            for runner in (fast, slow):
                runner.observe(token)
            assert relative(fast.step(token), slow.step(token)) < 1e-4
            torch.testing.assert_close(fast.ffn_sparsity(), slow.ffn_sparsity())
            assert (
                torch.equal(fast.state.load, slow.state.load)
                or relative(fast.state.load, slow.state.load) < 1e-3
            )


@pytest.mark.skipif(not GPU, reason="no GPU here")
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_replayed_graph_gives_what_its_operations_give(dtype):
    model = tiny_model("llama").to(DEVICE, dtype)
    policy = on_device(POLICIES["load"](model))
    captured = session_of(TokenGraph(model, 32, Blocks(model)), policy)
    eager = session_of(TokenGraph(model, 32, Blocks(model)), policy)
    eager.kernel.graph.capture = lambda anew: None
    for session in (captured, eager):
        session.prefill()
    assert captured.kernel.graph._graph is not None
    for token in DRAWN:
        torch.testing.assert_close(drawn(captured, token).clone(), drawn(eager, token))
        assert torch.equal(captured.kernel.neuron_mask, eager.kernel.neuron_mask)
