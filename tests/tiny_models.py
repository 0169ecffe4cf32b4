"""Two-layer random models of every supported family, with odd sizes."""

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

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
