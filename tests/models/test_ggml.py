"""Matrices as blocks of GGUF: the numbers of the gguf library bit for bit, a file's own blocks as they are, plain refusals."""

import math
from copy import deepcopy

import gguf
import numpy as np
import pytest
import torch
from tiny_models import tiny_checkpoint, tiny_model
from transformers import AutoModelForCausalLM, PreTrainedModel

from clada_neuro.bench.engines import weight_bytes
from clada_neuro.bench.peers import write_gguf
from clada_neuro.errors import ModelError
from clada_neuro.models import memory
from clada_neuro.models.embedded import embedded_gguf
from clada_neuro.models.ggml import KINDS, blocks_of, check_unchanged, precision_of, quantise, stored, widths
from clada_neuro.models.loading import load_model
from clada_neuro.models.registry import ffn_layers
from clada_neuro.runtime.policy import HIDDEN, INPUT, reads

BOTH = pytest.mark.parametrize("kind", KINDS)
WHOLE = dict(hidden_size=64, intermediate_size=96, num_attention_heads=4, num_key_value_heads=2, head_dim=16)


def of_llama_cpp(weight: torch.Tensor, kind: str) -> np.ndarray:
    stored = KINDS[kind].stored
    return gguf.quants.dequantize(gguf.quants.quantize(weight.numpy(), stored), stored)


def read(path) -> PreTrainedModel:
    """The model that transformers makes of a GGUF file, in float32."""
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    return model.eval().requires_grad_(False)


@BOTH
def test_weights_are_the_numbers_that_llama_cpp_s_blocks_stand_for(kind):
    model = tiny_model(**WHOLE)
    before = deepcopy(model)
    quantise(model, kind)
    for (name, weight), old in zip(model.named_parameters(), before.parameters(), strict=True):
        expected = of_llama_cpp(old, kind) if old.dim() == 2 else old.numpy()
        np.testing.assert_array_equal(weight.numpy(), expected, err_msg=name)
    assert precision_of(model) == kind
    assert precision_of(before) == "float32"
    assert sorted(model.state_dict()) == sorted(before.state_dict())


def test_a_number_moves_by_at_most_half_a_step_of_its_block():
    model = tiny_model(**WHOLE)
    before = model.model.layers[1].mlp.up_proj.weight.clone().reshape(-1, 32)
    quantise(model, "q8_0")
    after = model.model.layers[1].mlp.up_proj.weight.reshape(-1, 32)
    step = before.abs().amax(1, keepdim=True) / 127
    # The scale is rounded to float16, 2⁻¹¹ of itself, and 127 steps of it are added up.
    assert ((after - before).abs() <= step * (0.5 + 127 * 2**-11)).all()


def test_a_number_moves_by_at_most_half_a_step_between_its_block_s_extremes():
    model = tiny_model(**WHOLE)
    before = model.model.layers[1].mlp.up_proj.weight.clone().reshape(-1, 32)
    quantise(model, "q4_1")
    after = model.model.layers[1].mlp.up_proj.weight.reshape(-1, 32)
    step = (before.amax(1, keepdim=True) - before.amin(1, keepdim=True)) / 15
    lowest = before.amin(1, keepdim=True).abs()
    assert ((after - before).abs() <= step * (0.5 + 15 * 2**-11) + lowest * 2**-11).all()


@BOTH
def test_blocks_of_a_file_are_taken_as_they_are(kind, tmp_path):
    """Numbers that no quantiser here would choose: all bytes at random, −128 among them, and scales of any size."""
    write_gguf(tiny_model(**WHOLE), path := tmp_path / "tiny.gguf", kind.capitalize())
    rng = np.random.default_rng(0)
    for tensor in gguf.GGUFReader(path, "r+").tensors:
        if tensor.tensor_type == KINDS[kind].stored:
            blocks = tensor.data.reshape(-1, KINDS[kind].size)
            blocks[:] = rng.integers(0, 256, blocks.shape)
            for at in range(0, KINDS[kind].scales, 2):
                shared = rng.uniform(1e-6, 2, (len(blocks), 1)).astype(np.float16)
                blocks[:, at : at + 2] = shared.view(np.uint8)
            tensor.data.flush()
    plain, model = read(path), read(path)
    quantise(model, kind, path)
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}
    for name, weight in plain.named_parameters():
        assert torch.equal(model.get_parameter(name), weight), name
    for layer, block in enumerate(model.model.layers):
        for part, name in (("down", "down_proj"), ("gate", "gate_proj"), ("up", "up_proj")):
            own = blocks_of(block.mlp.get_submodule(name))
            np.testing.assert_array_equal(own, tensors[f"blk.{layer}.ffn_{part}.weight"])
    np.testing.assert_array_equal(blocks_of(model.model.embed_tokens), tensors["token_embd.weight"])
    np.testing.assert_array_equal(blocks_of(model.lm_head), tensors["output.weight"])


@pytest.mark.parametrize(("kind", "held"), [("q8_0", "Q4_1"), ("q4_1", "Q8_0")])
def test_what_a_file_holds_otherwise_is_quantised(kind, held, tmp_path):
    write_gguf(tiny_model(**WHOLE), path := tmp_path / "tiny.gguf", held)
    plain, model = read(path), read(path)
    quantise(model, kind, path)
    for name, weight in plain.named_parameters():
        expected = of_llama_cpp(weight, kind) if weight.dim() == 2 else weight.numpy()
        np.testing.assert_array_equal(model.get_parameter(name), expected, err_msg=name)


def test_the_embedded_model_keeps_its_own_blocks_of_the_output_layer():
    model = load_model("smollm2", dtype="q8_0", device="cpu").model
    (own,) = (t for t in gguf.GGUFReader(embedded_gguf()).tensors if t.name == "token_embd.weight")
    assert own.tensor_type == KINDS["q8_0"].stored
    np.testing.assert_array_equal(blocks_of(model.lm_head), own.data)
    assert blocks_of(model.lm_head) is blocks_of(model.model.embed_tokens)


def test_the_embedded_model_keeps_its_own_blocks_of_its_layers():
    model = load_model("smollm2", dtype="q4_1", device="cpu").model
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(embedded_gguf()).tensors}
    for layer, block in enumerate(model.model.layers):
        for part, own in (
            ("down", block.mlp.down_proj),
            ("gate", block.mlp.gate_proj),
            ("up", block.mlp.up_proj),
        ):
            np.testing.assert_array_equal(blocks_of(own), tensors[f"blk.{layer}.ffn_{part}.weight"].data)
        np.testing.assert_array_equal(
            blocks_of(block.self_attn.o_proj), tensors[f"blk.{layer}.attn_output.weight"].data
        )
    plain = load_model("smollm2", device="cpu").model
    for name, weight in plain.model.layers.named_parameters():
        assert torch.equal(weight, model.model.layers.get_parameter(name)), name


def test_a_loaded_model_says_what_it_is(tmp_path):
    tiny_model(**WHOLE).save_pretrained(tiny_checkpoint(tmp_path))
    loaded, plain = (load_model(tmp_path, dtype=dtype, device="cpu") for dtype in ("q8_0", "float32"))
    assert loaded.describe()["dtype"] == "q8_0"
    assert loaded.weights_hash == plain.weights_hash  # of the file, as in every dtype


def test_bytes_are_those_of_blocks():
    model = tiny_model(**WHOLE)
    floats = weight_bytes(model)
    quantise(model, "q8_0")
    ffn = ffn_layers(model)[0]
    assert widths(ffn.down) == (1.0, 2 / 32)
    assert stored(ffn.down).shape == (64, 96 * 34 // 32)
    # By input 2·96 bytes, in whole cache lines, by neuron 64; a float16 scale for each of 3·64·96 / 32 blocks.
    found = reads(ffn, (INPUT, HIDDEN))
    assert found.row == {INPUT: 192, HIDDEN: 64}
    assert found.total == 64 * 192 + 96 * 64 + 2 * 576
    assert found.fixed == 2 * 576
    half = found.sparsity({INPUT: torch.tensor(32), HIDDEN: torch.tensor(48)})
    assert float(half) == pytest.approx(0.5 * 32 / 34)
    attention, head, norms = 2 * (64 + 2 * 32 + 64) * 64, 97 * 64, 5 * 64
    assert weight_bytes(model) == (2 * found.total, (attention + head) * 34 // 32 + 4 * norms)
    assert floats == (4 * 2 * 3 * 64 * 96, 4 * (attention + head + norms))


def test_bytes_of_half_a_byte_a_number():
    model = tiny_model(**WHOLE)
    quantise(model, "q4_1")
    ffn = ffn_layers(model)[0]
    assert widths(ffn.down) == (0.5, 4 / 32)
    found = reads(ffn, (INPUT, HIDDEN))
    assert found.row == {INPUT: 128, HIDDEN: 64}  # 96 and 32 bytes, in whole cache lines
    assert found.fixed == 3 * 64 * 96 // 32 * 4


def test_weights_that_were_changed_are_noticed():
    model = tiny_model(**WHOLE)
    quantise(model, "q8_0")
    check_unchanged(model)
    model.model.layers[1].mlp.down_proj.weight.mul_(2)
    with pytest.raises(
        ModelError, match=r"'model.layers.1.mlp.down_proj' was changed .* load float32 weights"
    ):
        check_unchanged(model)


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (lambda: tiny_model("gpt2"), "for models of type llama and mistral, 'gpt2' found; use float32 or bfloat16"),
        (lambda: tiny_model(), "has blocks of 32 inputs, 'model.embed_tokens' has 24; use float32 or bfloat16"),
    ],
)  # fmt: skip
def test_a_model_that_has_no_such_blocks_is_one_line(model, line):
    with pytest.raises(ModelError, match=line) as error:
        quantise(model(), "q8_0")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("type_number", "line"),
    [
        (99, "it has weights in blocks of kind 99, which the gguf package does not know"),
        (gguf.GGMLQuantizationType.Q8_K, "'blk.0.ffn_up.weight' is in blocks of kind Q8_K, which the gguf package cannot read"),
    ],
)  # fmt: skip
def test_blocks_that_nobody_here_knows_are_one_line(type_number, line, tmp_path, monkeypatch):
    monkeypatch.setenv("CLADA_NEURO_CACHE", str(tmp_path / "cache"))
    wide = tiny_model(**{**WHOLE, "hidden_size": 256})
    write_gguf(wide, path := tmp_path / "tiny.gguf", "Q8_0")
    (tensor,) = (t for t in gguf.GGUFReader(path).tensors if t.name == "blk.0.ffn_up.weight")
    raw = bytearray(path.read_bytes())
    kind_at = tensor.field.offset + sum(part.nbytes for part in tensor.field.parts[:-2])
    raw[kind_at : kind_at + 4] = np.uint32(type_number).tobytes()
    path.write_bytes(raw)
    expected = rf"tiny\.gguf' cannot be loaded: {line}; convert it to F16, Q8_0 or Q4_1 with llama\.cpp$"
    with pytest.raises(ModelError, match=expected) as error:
        load_model(path, dtype="q8_0", device="cpu")
    assert "\n" not in str(error.value)


def test_memory_is_asked_for_blocks_and_the_numbers_they_stand_for(tmp_path, monkeypatch):
    tiny_model(**WHOLE).save_pretrained(tiny_checkpoint(tmp_path))
    floats = memory.bytes_of_weights(tmp_path, torch.float32)
    monkeypatch.setattr(memory, "free_bytes", lambda device: floats)
    load_model(tmp_path, device="cpu")
    needed = math.ceil(floats * (1 + 34 / 128))
    with pytest.raises(ModelError, match=rf"\({needed:,} bytes\) in float32.*--dtype bfloat16 takes"):
        load_model(tmp_path, dtype="q8_0", device="cpu")
