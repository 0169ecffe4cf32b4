"""Weights as GGUF holds them: blocks of 32 numbers along a map's inputs that share a scale.

A model in such a precision has its matrices twice: as blocks, which the compiled token step reads where they are, and as
the numbers that the blocks stand for, in float32, which PyTorch multiplies by. Both paths compute the same model. Blocks
of a GGUF file that are of the wanted kind are taken as they are; everything else is quantised as llama.cpp does it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from clada_neuro.errors import ModelError
from clada_neuro.models.weights import matrix

BLOCK = 32
_BUFFER = "ggml"
_SAMPLED = 8  # rows of a matrix that show a change
# Names of GGUF's tensors are those of the Llama architecture, which its Mistral files have, too.
_ARCHITECTURES = ("llama", "mistral")


@dataclass(frozen=True)
class Kind:
    """A kind of block.

    Attributes
    ----------
    stored : gguf.GGMLQuantizationType
    numbers, scales : int
        Bytes of a block's numbers, and of what they share.
    """

    stored: gguf.GGMLQuantizationType
    numbers: int
    scales: int

    @property
    def size(self) -> int:
        """Bytes of a block."""
        return self.numbers + self.scales


KINDS = {
    "q8_0": Kind(gguf.GGMLQuantizationType.Q8_0, numbers=32, scales=2),
    "q4_1": Kind(gguf.GGMLQuantizationType.Q4_1, numbers=16, scales=4),
}


def quantise(model: PreTrainedModel, precision: str, file: Path | None = None) -> None:
    """Let a model's matrices be blocks, and its float32 weights the numbers that these stand for.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        In float32.
    precision : str
        One of `KINDS`.
    file : Path, optional
        The GGUF file that the model came from.

    Raises
    ------
    ModelError
        If the model is of another architecture, or a matrix is not made of whole blocks.
    """
    if model.config.model_type not in _ARCHITECTURES:
        raise ModelError(
            f"precision {precision} is for models of type {' and '.join(_ARCHITECTURES)}, '{model.config.model_type}' "
            "found; use float32 or bfloat16"
        )
    kind = KINDS[precision]
    held = {} if file is None else _held(model, file, kind)
    done: dict[int, Tensor] = {}
    for name, part in _maps(model):
        weight = matrix(part)
        if weight.data_ptr() not in done:
            _check(name, weight, precision)
            blocks = held.get(name)
            if blocks is None:
                blocks = gguf.quants.quantize(weight.cpu().numpy(), kind.stored)
            weight.copy_(torch.from_numpy(numbers(blocks, kind)))
            done[weight.data_ptr()] = torch.from_numpy(blocks).to(weight.device)
        part.register_buffer(_BUFFER, done[weight.data_ptr()], persistent=False)


def check_unchanged(model: PreTrainedModel) -> None:
    """Raise `ModelError` if rows of a model's matrices are no longer what their blocks stand for."""
    for name, part in _maps(model):
        blocks, weight = blocks_of(part), matrix(part)
        if blocks is None:
            continue
        some = slice(None, None, max(1, len(blocks) // _SAMPLED))
        expected = numbers(blocks[some].cpu().numpy(), KINDS[kind_of_blocks(part)])
        if not torch.equal(torch.from_numpy(expected), weight[some].cpu()):
            raise ModelError(
                f"'{name}' was changed after the model was loaded in {kind_of_blocks(part)}; load float32 weights to change them"
            )


def beside(precision: str) -> float:
    """Return how much memory blocks take beside float32 weights, as a share of these; 0 for what is no kind of block."""
    return KINDS[precision].size / (4 * BLOCK) if precision in KINDS else 0.0


def precision_of(model: PreTrainedModel) -> str:
    """Return what a model's matrices are held in: blocks of `KINDS`, or a float type."""
    head = model.get_output_embeddings()
    quantised = head is not None and blocks_of(head) is not None
    return kind_of_blocks(head) if quantised else str(model.dtype).removeprefix("torch.")


def blocks_of(part: nn.Module) -> Tensor | None:
    """Return a matrix's blocks ``(outputs, bytes)``, None where it has none."""
    found: Tensor | None = getattr(part, _BUFFER, None)
    return found


def stored(part: nn.Module) -> Tensor:
    """Return what a matrix takes in memory where it is read: its blocks, else its weight."""
    blocks = blocks_of(part)
    return matrix(part) if blocks is None else blocks


def widths(part: nn.Module) -> tuple[float, float]:
    """Return the bytes of one weight of a matrix, and its part in the scales that blocks share."""
    if blocks_of(part) is None:
        return matrix(part).element_size(), 0.0
    kind = KINDS[kind_of_blocks(part)]
    return kind.numbers / BLOCK, kind.scales / BLOCK


def kind_of_blocks(part: nn.Module) -> str:
    """Return which kind a matrix's blocks are, by their size."""
    size = stored(part).numel() * BLOCK // matrix(part).numel()
    return next(name for name, kind in KINDS.items() if kind.size == size)


def numbers(blocks: np.ndarray, kind: Kind) -> np.ndarray:
    """Return what blocks ``(outputs, bytes)`` stand for, ``(outputs, inputs)`` in float32."""
    return gguf.quants.dequantize(blocks, kind.stored)


def unknown_blocks(file: Path) -> str | None:
    """Return which weights of a GGUF file are in blocks that the gguf package does not know or cannot read, None if none are."""
    try:
        tensors = gguf.GGUFReader(file).tensors
    except Exception as error:  # the package raises every kind for files that are damaged
        number = re.search(r"(\d+)\D*is not a valid GGMLQuantizationType", str(error))
        return (
            number and f"it has weights in blocks of kind {number[1]}, which the gguf package does not know"
        )
    for tensor in tensors:
        kind = tensor.tensor_type
        try:
            gguf.quants.dequantize(np.zeros((1, gguf.GGML_QUANT_SIZES[kind][1]), np.uint8), kind)
        except NotImplementedError:
            return f"'{tensor.name}' is in blocks of kind {kind.name}, which the gguf package cannot read"
    return None


def _maps(model: PreTrainedModel) -> Iterator[tuple[str, nn.Module]]:
    """Yield every matrix of a model with its name: linear maps and the embedding."""
    for name, part in model.named_modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            yield name, part


def _check(name: str, weight: Tensor, precision: str) -> None:
    if weight.shape[1] % BLOCK:
        raise ModelError(
            f"precision {precision} has blocks of {BLOCK} inputs, '{name}' has {weight.shape[1]}; use float32 or bfloat16"
        )


def _held(model: PreTrainedModel, file: Path, kind: Kind) -> dict[str, np.ndarray]:
    """Return the blocks of a file's matrices that are of the wanted kind, by the names of the model's modules."""
    reader = gguf.GGUFReader(file)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, model.config.num_hidden_layers)
    found = {}
    for name, _ in _maps(model):
        tensor = tensors.get(names.get_name(f"{name}.weight", try_suffixes=(".weight",)) or "")
        if tensor is not None and tensor.tensor_type == kind.stored:
            found[name] = _in_model_order(np.array(tensor.data), name, model)
    return found


def _in_model_order(blocks: np.ndarray, name: str, model: PreTrainedModel) -> np.ndarray:
    """Return rows of queries and keys in halves of a head, as transformers rotates them, from GGUF's neighbours."""
    config = model.config
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    count = heads.get(name.rpartition(".")[2])
    if count is None:
        return blocks
    rows, size = blocks.shape
    pairs = blocks.reshape(count, rows // count // 2, 2, size)
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows, size)


def bytes_read(model: PreTrainedModel, weights: Iterable[Tensor]) -> int:
    """Return how many bytes some of a model's weights take where a token reads them."""
    sizes = {id(matrix(part)): stored(part).nbytes for _, part in _maps(model)}
    return sum(sizes.get(id(weight), weight.nbytes) for weight in weights)
