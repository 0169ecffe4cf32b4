"""Two-layer random models of every supported family, with odd sizes."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from clada_neuro.models.registry import ffn_layers
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.cognitive_load import LoadSignal
from clada_neuro.runtime.thresholds import Compensation

VOCABULARY = 97
_COMMON = dict(vocab_size=VOCABULARY, bos_token_id=0, eos_token_id=1, pad_token_id=2)
_LLAMA = dict(
    hidden_size=24, intermediate_size=52, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=128, head_dim=6,
)  # fmt: skip
FAMILIES = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gemma": _LLAMA,
    "phi3": {**_LLAMA, "original_max_position_embeddings": 128},
    "gpt2": dict(n_embd=24, n_layer=2, n_head=4, n_inner=52, n_positions=128),
    "opt": dict(
        hidden_size=24, ffn_dim=52, num_hidden_layers=2, num_attention_heads=4, word_embed_proj_dim=24,
        max_position_embeddings=128,
    ),
    "gpt_neox": dict(
        hidden_size=24, intermediate_size=52, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=128
    ),
}  # fmt: skip


def tiny_model(family: str = "llama", seed: int = 0, scale: float = 8.0) -> PreTrainedModel:
    """Build a tiny model; `scale` widens the random weights so that predictions are not flat."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(family, **_COMMON, **FAMILIES[family])
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        if weight.dim() == 2:
            weight.mul_(scale)
        elif "bias" in name:
            weight.normal_(std=0.1)
    return model


def tiny_checkpoint(folder: Path, family: str = "llama") -> Path:
    """Save a tiny model with a tokenizer of one token a word, ``w2`` to ``w96``."""
    tiny_model(family).save_pretrained(folder)
    vocabulary = {"<s>": 0, "</s>": 1} | {f"w{i}": i for i in range(2, VOCABULARY)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="w2"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>").save_pretrained(
        folder
    )
    return folder


def tiny_policy(model: PreTrainedModel, threshold: float = 0.5, **options: object) -> Clada:
    """CLADA with norm weights, one threshold everywhere and a compensation that is easy to see."""
    layers = ffn_layers(model)
    bias = torch.zeros(2, len(layers), layers[0].hidden_size)
    bias[1] = 0.01 if threshold else 0.0
    return Clada(
        thresholds={site: torch.full((len(layers),), threshold) for site in ("input", "hidden")},
        weights={
            "input": torch.stack([ffn.input_norms for ffn in layers]),
            "hidden": torch.stack([ffn.neuron_norms for ffn in layers]),
        },
        mean_of_dropped=Compensation(torch.tensor([0.0, 1.0]), bias),
        signal=LoadSignal(0.5, 6.0, 2.0, 6.0, 0.5),
        **options,
    )
