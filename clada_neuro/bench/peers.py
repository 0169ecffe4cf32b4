"""llama.cpp at every width that it offers, as an optional peer in an interpreter of its own, which sleeps while others are timed."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import gguf
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.bench.turns import Turns
from clada_neuro.errors import ModelError

_WORKER = Path(__file__).with_name("llama_worker.py")
_TYPES = {
    "float32": (gguf.LlamaFileType.ALL_F32, gguf.GGMLQuantizationType.F32),
    "float16": (gguf.LlamaFileType.MOSTLY_F16, gguf.GGMLQuantizationType.F16),
    "Q8_0": (gguf.LlamaFileType.MOSTLY_Q8_0, gguf.GGMLQuantizationType.Q8_0),
    "Q4_1": (gguf.LlamaFileType.MOSTLY_Q4_1, gguf.GGMLQuantizationType.Q4_1),
}
WIDTHS = tuple(_TYPES)


def _own_environment() -> dict[str, str]:
    """Return the environment without our OpenMP setting: llama.cpp's threads are fastest when they spin."""
    return {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}


class LlamaCpp:
    """llama-cpp-python, answering in its own process.

    Parameters
    ----------
    python : str or Path
        Interpreter that can import ``llama_cpp``.
    path : Path
        GGUF file.
    threads, context : int

    Raises
    ------
    ModelError
        If the interpreter has no llama-cpp-python or cannot read the file.
    """

    def __init__(self, python: str | Path, path: Path, *, threads: int, context: int) -> None:
        command = [str(python), str(_WORKER), str(path), str(threads), str(context)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=_own_environment(),
            )
        except OSError as error:
            raise ModelError(f"'{python}' cannot be run ({error.strerror}); give an interpreter") from error
        self.version = self._answer()["version"]
        self._turns = Turns(self._process.pid)

    def decode(self, prompt: list[int], tokens: int) -> dict[str, Any]:
        """Return ``seconds`` and ``drawn`` of each greedy token after a prompt, and ``peak_memory_mb``."""
        assert self._process.stdin is not None
        with self._turns.awake():
            print(json.dumps({"prompt": prompt, "tokens": tokens}), file=self._process.stdin, flush=True)
            return self._answer()

    def close(self) -> None:
        """End the process."""
        self._turns.wake()
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            reason = self._process.communicate()[1].strip().splitlines()[-1:] or ["no reason given"]
            raise ModelError(
                f"llama.cpp stopped: {reason[0]}; install llama-cpp-python for that interpreter or leave it out"
            )
        return json.loads(line)


def write_gguf(model: PreTrainedModel, path: Path, width: str) -> int:
    """Write a Llama model as a GGUF file without a tokenizer, its matrices in one of `WIDTHS`.

    Returns the bytes of weights that a token reads: of an embedding that is not the head one row is read, which is left out.
    """
    file_type, kind = _TYPES[width]
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("no_vocab")
    writer.add_file_type(file_type)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    read = 0
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        part = name.split(".")[-2]
        values = _interleaved(weight, heads[part]) if part in heads else weight
        stored = values.float().numpy()
        target = names.get_name(name, try_suffixes=(".weight",))
        assert target is not None
        if stored.ndim == 2:
            stored = gguf.quants.quantize(stored, kind)
            writer.add_tensor(target, stored, raw_dtype=kind)
        else:
            writer.add_tensor(target, stored)
        read += 0 if part == "embed_tokens" and not config.tie_word_embeddings else stored.nbytes
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return read


def _interleaved(weight: Tensor, heads: int) -> Tensor:
    """Reorder the rows of a head from (i, i + D/2) pairs to neighbours, as GGUF rotates them."""
    rows, columns = weight.shape
    pairs = weight.reshape(heads, 2, rows // heads // 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)
