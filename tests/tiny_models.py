"""Two-layer random models of every supported family and of many others, with odd sizes."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from clada_neuro.models import families
from clada_neuro.models.registry import ffn_layers
from clada_neuro.runtime.clada import Clada
from clada_neuro.runtime.cognitive_load import LoadSignal
from clada_neuro.runtime.thresholds import Compensation, norms

VOCABULARY = 97
_COMMON = dict(vocab_size=VOCABULARY, bos_token_id=0, eos_token_id=1, pad_token_id=2)
_LLAMA = dict(
    hidden_size=24, intermediate_size=52, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=128, head_dim=6,
)  # fmt: skip
_PARTLY_ROTATED = {**_LLAMA, "num_attention_heads": 3, "num_key_value_heads": 3, "head_dim": 8}
FAMILIES = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gemma": _LLAMA,
    "gemma2": {**_LLAMA, "query_pre_attn_scalar": 6, "sliding_window": 64},
    "gemma3_text": {**_LLAMA, "query_pre_attn_scalar": 6, "sliding_window": 64},
    "olmo": _LLAMA,
    "olmo2": _LLAMA,
    "stablelm": _PARTLY_ROTATED,
    "granite": _LLAMA,
    "cohere": _LLAMA,
    "phi": _PARTLY_ROTATED,
    "starcoder2": _LLAMA,
    "phi3": {**_LLAMA, "original_max_position_embeddings": 128},
    "gpt2": dict(n_embd=24, n_layer=2, n_head=4, n_inner=52, n_positions=128),
    "gpt_neo": dict(
        hidden_size=24, num_layers=2, num_heads=4, intermediate_size=52, attention_types=[[["global", "local"], 1]],
        max_position_embeddings=128,
    ),
    "gptj": dict(n_embd=24, n_layer=2, n_head=4, n_inner=52, n_positions=128, rotary_dim=4),
    "falcon": dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=4, ffn_hidden_size=52, max_position_embeddings=128),
    "bloom": dict(hidden_size=24, n_layer=2, n_head=4),
    "mpt": dict(d_model=24, n_layers=2, n_heads=4, expansion_ratio=2, max_seq_len=128),
    "opt": dict(
        hidden_size=24, ffn_dim=52, num_hidden_layers=2, num_attention_heads=4, word_embed_proj_dim=24,
        max_position_embeddings=128,
    ),
    "gpt_neox": dict(
        hidden_size=24, intermediate_size=52, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=128
    ),
}  # fmt: skip

POLICY_FAMILIES = [name for name in FAMILIES if families.FAMILIES[name].policies]
_MIXTURE = {
    **_LLAMA, "num_local_experts": 4, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 20,
}  # fmt: skip
_LATENT = {name: value for name, value in _MIXTURE.items() if name != "head_dim"}
_STATE = dict(hidden_size=24, state_size=4, num_hidden_layers=2)
_GPT = dict(n_embd=24, n_layer=2, n_head=4, n_positions=128)
_BERT = dict(
    hidden_size=24,
    intermediate_size=52,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=128,
)
OTHERS = {
    "mamba": _STATE,
    "falcon_mamba": _STATE,
    "mamba2": {**_STATE, "num_heads": 6, "head_dim": 8, "n_groups": 1, "chunk_size": 8},
    "rwkv": dict(hidden_size=24, attention_hidden_size=24, num_hidden_layers=2, context_length=128),
    "xlstm": dict(hidden_size=32, num_hidden_layers=2, num_heads=4, num_blocks=2, embedding_dim=32),
    "recurrent_gemma": dict(
        hidden_size=24, intermediate_size=52, num_hidden_layers=3, num_attention_heads=4, lru_width=24,
        attention_window_size=16,
    ),
    "bamba": {**_LLAMA, "mamba_n_heads": 6, "mamba_d_head": 8, "mamba_d_state": 4, "attn_layer_indices": [1]},
    "jamba": {
        **_MIXTURE, "attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2,
        "expert_layer_offset": 1, "mamba_d_state": 4, "use_mamba_kernels": False,
    },
    "lfm2": _LLAMA,
    "mixtral": _MIXTURE,
    "qwen2_moe": {**_MIXTURE, "shared_expert_intermediate_size": 20},
    "qwen3_moe": _MIXTURE,
    "olmoe": _MIXTURE,
    "phimoe": _MIXTURE,
    "granitemoe": _MIXTURE,
    "gpt_oss": {**_MIXTURE, "sliding_window": 8},
    "deepseek_v3": {
        **_LATENT, "n_routed_experts": 4, "n_group": 1, "topk_group": 1, "q_lora_rank": 8, "kv_lora_rank": 8,
        "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 6, "first_k_dense_replace": 1,
        "num_key_value_heads": 4,
    },
    "codegen": {**_GPT, "n_inner": 52, "rotary_dim": 4},
    "ctrl": {**_GPT, "dff": 52},
    "openai-gpt": _GPT,
    "gpt_bigcode": {**_GPT, "n_inner": 52},
    "gpt_neox_japanese": dict(
        hidden_size=24, intermediate_multiple_size=2, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=128,
    ),
    "xglm": dict(d_model=24, ffn_dim=52, num_layers=2, attention_heads=4, max_position_embeddings=128),
    "biogpt": _BERT,
    "persimmon": {**_LLAMA, "num_attention_heads": 3},
    "nemotron": _LLAMA,
    "helium": _LLAMA,
    "glm4": _LLAMA,
    "smollm3": _LLAMA,
    "olmo3": {**_LLAMA, "sliding_window": 8},
    "cohere2": {**_LLAMA, "sliding_window": 8},
    "exaone4": {**_LLAMA, "sliding_window": 8},
    "apertus": _LLAMA,
    "bart": dict(
        d_model=24, decoder_layers=2, decoder_attention_heads=4, decoder_ffn_dim=52, max_position_embeddings=128,
        is_decoder=True, is_encoder_decoder=False,
    ),
}  # fmt: skip
ENCODERS = {"bert": _BERT, "roberta": _BERT, "xlnet": dict(d_model=24, n_layer=2, n_head=4, d_inner=52)}


def tiny_model(
    family: str = "llama", seed: int = 0, scale: float = 8.0, **changed: object
) -> PreTrainedModel:
    """Build a tiny model; `scale` widens the random weights so that predictions are not flat."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(family, **{**_COMMON, **(FAMILIES | OTHERS | ENCODERS)[family], **changed})
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


def tiny_policy(
    model: PreTrainedModel, threshold: float = 0.5, scope: str = "ffn", **options: object
) -> Clada:
    """CLADA with norm weights, one threshold everywhere and a compensation that is easy to see."""
    layers = ffn_layers(model)
    weights = norms(layers, scope)

    def mean(size: int) -> Compensation:
        bias = torch.zeros(2, len(layers), size)
        bias[1] = 0.01 if threshold else 0.0
        return Compensation(torch.tensor([0.0, 1.0]), bias)

    outputs = {"qkv": lambda it: it.qkv_weight.shape[0], "out": lambda it: it.out_weight.shape[0]}
    return Clada(
        thresholds={site: torch.full((len(layers),), threshold) for site in weights},
        weights=weights,
        mean_of_dropped=mean(layers[0].hidden_size),
        mean_at={site: mean(outputs[site](layers[0].attention)) for site in weights if site in outputs},
        signal=LoadSignal(0.5, 6.0, 2.0, 6.0, 0.5),
        **options,
    )
