"""A tiny random model that speaks one of the local tokenizers."""

import torch
from local_tokenizers import tokenizer_of
from tiny_models import FAMILIES
from transformers import AutoConfig, AutoModelForCausalLM

from clada_neuro.models.loading import LanguageModel


def tiny_language(
    kind: str = "byte-level", *, start: bool = True, dtype: torch.dtype = torch.float32
) -> LanguageModel:
    tokenizer = tokenizer_of(kind)
    torch.manual_seed(0)
    config = AutoConfig.for_model("llama", **{**FAMILIES["llama"], "vocab_size": len(tokenizer)})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval().requires_grad_(False)
    for weight in model.parameters():
        if weight.dim() == 2:
            weight.mul_(8)
    return LanguageModel(
        f"tiny {kind}", model.to(dtype), tokenizer, tokenizer.eos_token_id if start else None, "0" * 16
    )
