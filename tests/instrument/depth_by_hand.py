"""Tiny models in float64, and attention and feed-forward activity of four families, written out in float64 from weights and from what enters a block."""

import math

import numpy as np
import pandas as pd
import torch
from local_tokenizers import tokenizer_of
from tiny_models import FAMILIES, OTHERS
from torch import Tensor
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM

from clada_neuro.models.loading import LanguageModel

HEADS = 4
# Settings under which the scale or the cap of the logits matters.
CASES = {
    "llama": {},
    "gpt2": {},
    "gemma2": {"final_logit_softcapping": 5.0},
    "gpt_neox": {},
    "cohere": {"logit_scale": 0.25},
    "granite": {"logits_scaling": 3.0},
    "opt": {},
}
TEXT = "Der alte Bäcker weiß nicht recht wohin er geht"


def language_model(kind: str = "llama", layers: int = 3, dtype=torch.float64, **changed) -> LanguageModel:
    tokenizer = tokenizer_of("byte-level")
    torch.manual_seed(0)
    settings = {**(FAMILIES | OTHERS)[kind], "vocab_size": len(tokenizer), **CASES.get(kind, {}), **changed}
    number = next(name for name in ("num_hidden_layers", "n_layer", "num_layers") if name in settings)
    config = AutoConfig.for_model(kind, **{**settings, number: layers})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval().requires_grad_(False)
    for weight in model.parameters():
        if weight.dim() == 2:
            weight.mul_(8)
        else:
            weight.add_(0.1 * torch.randn_like(weight))
    return LanguageModel(f"tiny {kind}", model.to(dtype), tokenizer, tokenizer.eos_token_id, "0" * 16)


def stimuli(*sentences: str, **columns) -> pd.DataFrame:
    names = [str(number) for number in range(len(sentences))]
    return pd.DataFrame(
        {"stimulus_id": names, "item": "1", "condition": names, "sentence": sentences, **columns}
    )


def inputs_of(model: LanguageModel, ids: list[int], *paths: str) -> list[Tensor]:
    """Return what enters some modules, each (seq, features), when the model reads a text."""
    seen: dict[str, Tensor] = {}
    handles = [
        model.model.get_submodule(path).register_forward_pre_hook(
            lambda _, args, named, path=path: seen.update(
                {path: args[0] if args else named["hidden_states"]}
            ),
            with_kwargs=True,
        )
        for path in paths
    ]
    with torch.inference_mode():
        model.model(torch.tensor([ids]))
    for handle in handles:
        handle.remove()
    return [seen[path].reshape(len(ids), -1) for path in paths]


def rotated(x: Tensor, base: float) -> Tensor:
    """Return (heads, seq, size) with pairs of halves turned by their position."""
    size = x.shape[-1]
    angle = torch.arange(x.shape[1])[:, None] / base ** (torch.arange(0, size, 2) / size)
    first, second = x[..., : size // 2], x[..., size // 2 :]
    cos, sin = angle.double().cos(), angle.double().sin()
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def heads(x: Tensor) -> Tensor:
    return x.reshape(len(x), -1, x.shape[-1] // HEADS).transpose(0, 1)


def attention_entropy(kind: str, model: LanguageModel, ids: list[int], layer: int) -> np.ndarray:
    """Return the mean entropy of the heads, in bits, of every position."""
    inner, config = model.model, model.model.config
    if kind == "gpt2":
        (x,) = inputs_of(model, ids, f"transformer.h.{layer}.attn.c_attn")
        part = inner.transformer.h[layer].attn.c_attn
        q, k, _ = (heads(one) for one in (x @ part.weight + part.bias).chunk(3, dim=-1))
        scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
    elif kind == "opt":
        path = f"model.decoder.layers.{layer}.self_attn"
        (x,) = inputs_of(model, ids, f"{path}.q_proj")
        part = inner.get_submodule(path)
        q, k = (heads(x @ one.weight.T + one.bias) for one in (part.q_proj, part.k_proj))
        scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
    else:
        path = f"model.layers.{layer}.self_attn"
        (x,) = inputs_of(model, ids, f"{path}.q_proj")
        part = inner.get_submodule(path)
        base = config.rope_parameters["rope_theta"]
        q = rotated(heads(x @ part.q_proj.weight.T), base)
        size = q.shape[-1]
        k = (x @ part.k_proj.weight.T).reshape(len(x), -1, size).transpose(0, 1)
        k = rotated(k, base).repeat_interleave(HEADS // k.shape[0], dim=0)
        scores = q @ k.transpose(1, 2)
        if kind == "gemma2":
            cap = config.attn_logit_softcapping
            scores = cap * torch.tanh(scores / math.sqrt(config.query_pre_attn_scalar) / cap)
        else:
            scores = scores / math.sqrt(size)
    bits = np.zeros(len(ids))
    for at in range(len(ids)):
        for head in scores:
            w = np.exp(head[at, : at + 1].numpy() - float(head[at, : at + 1].max()))
            w /= w.sum()
            bits[at] += -sum(one * math.log2(one) for one in w if one > 0) / HEADS
    return bits


def contributions(kind: str, model: LanguageModel, ids: list[int], layer: int) -> np.ndarray:
    """Return e_i = |a_i| |W_d[:, i]| of every position, (seq, neurons)."""
    inner = model.model
    if kind == "gpt2":
        block = inner.transformer.h[layer].mlp
        (x,) = inputs_of(model, ids, f"transformer.h.{layer}.mlp")
        a = functional.gelu(x @ block.c_fc.weight + block.c_fc.bias, approximate="tanh")
        written = block.c_proj.weight.T
    elif kind == "opt":
        block = inner.model.decoder.layers[layer]
        (x,) = inputs_of(model, ids, f"model.decoder.layers.{layer}.fc1")
        a = (x @ block.fc1.weight.T + block.fc1.bias).clamp(min=0)
        written = block.fc2.weight
    else:
        block = inner.model.layers[layer].mlp
        (x,) = inputs_of(model, ids, f"model.layers.{layer}.mlp")
        gate, up = x @ block.gate_proj.weight.T, x @ block.up_proj.weight.T
        gate = gate / (1 + (-gate).exp()) if kind == "llama" else functional.gelu(gate, approximate="tanh")
        a = gate * up
        written = block.down_proj.weight
    return (a.abs() * written.square().sum(dim=0).sqrt()).numpy()


def active(e: np.ndarray) -> set[int]:
    """Return the smallest set of neurons that holds 99 % of the sum of squares."""
    order = np.argsort(-(e**2))
    reached = np.cumsum(e[order] ** 2) >= 0.99 * (e**2).sum()
    return set(order[: int(np.argmax(reached)) + 1].tolist())


def activity(e: np.ndarray) -> dict[str, np.ndarray]:
    """Return measures of activity of every position but the first, which no measure holds."""
    found: dict[str, list[float]] = {}
    for at in range(1, len(e)):
        here, n = e[at], e.shape[1]
        own = active(here)
        row = {
            "sparsity_energy99": 1 - len(own) / n,
            "hoyer": (math.sqrt(n) - here.sum() / math.sqrt((here**2).sum())) / (math.sqrt(n) - 1),
            "participation_ratio": (here**2).sum() ** 2 / (n * (here**4).sum()),
        }
        for name, other in (("prev", e[at - 1]), ("prefix", e[1:at].mean(axis=0) if at > 1 else None)):
            if at == 1:
                row |= {f"overlap_{name}": math.nan, f"adjustment_{name}": math.nan}
                continue
            row[f"overlap_{name}"] = len(own & active(other)) / len(own | active(other))
            cosine = here @ other / np.linalg.norm(here) / np.linalg.norm(other)
            row[f"adjustment_{name}"] = 1 - float(cosine)
        for name, value in row.items():
            found.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in found.items()}
