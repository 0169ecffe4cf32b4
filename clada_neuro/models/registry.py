"""Find the feed-forward blocks of a model; anything not known by name is refused."""

from collections.abc import Callable, Iterable

from torch import nn
from transformers import PreTrainedModel

from clada_neuro.errors import ModelError, did_you_mean
from clada_neuro.models.ffn import FFN
from clada_neuro.models.gated import FusedGatedFFN, GatedFFN
from clada_neuro.models.plain import GPT2FFN, OPTFFN, GPTNeoXFFN

# model_type of the configuration: path from the model to its layers, name of the block in a layer, adapter.
_FAMILIES: dict[str, tuple[str, str, Callable[[int, nn.Module], FFN]]] = {
    "llama": ("model.layers", "mlp", GatedFFN),
    "mistral": ("model.layers", "mlp", GatedFFN),
    "qwen2": ("model.layers", "mlp", GatedFFN),
    "qwen3": ("model.layers", "mlp", GatedFFN),
    "gemma": ("model.layers", "mlp", GatedFFN),
    "phi3": ("model.layers", "mlp", FusedGatedFFN),
    "gpt2": ("transformer.h", "mlp", GPT2FFN),
    "opt": ("model.decoder.layers", "", OPTFFN),
    "gpt_neox": ("gpt_neox.layers", "mlp", GPTNeoXFFN),
}
SUPPORTED = tuple(_FAMILIES)
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_intermediate_size")


def ffn_layers(model: PreTrainedModel) -> list[FFN]:
    """Return the feed-forward blocks of a causal language model, first layer first.

    Raises
    ------
    ModelError
        If the architecture is unknown, a mixture of experts, or quantised.
    """
    config = model.config.get_text_config()
    kind = config.model_type
    supported = f"supported are {', '.join(SUPPORTED)}"
    if any(getattr(config, name, None) for name in _EXPERTS):
        raise ModelError(
            f"model type '{kind}' is a mixture of experts, which has no single block; {supported}"
        )
    if kind not in _FAMILIES:
        raise ModelError(
            f"model type '{kind}' is not supported{did_you_mean(kind, list(SUPPORTED))}; {supported}"
        )
    if getattr(model.config, "quantization_config", None) is not None:
        raise ModelError(f"model of type '{kind}' is quantised; load it in float32 or bfloat16")
    path, block, adapter = _FAMILIES[kind]
    layers: Iterable[nn.Module] = model.get_submodule(path)  # type: ignore[assignment]
    return [adapter(index, layer.get_submodule(block)) for index, layer in enumerate(layers)]
