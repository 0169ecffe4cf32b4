"""Find the feed-forward blocks of a model; anything not known by name is refused."""

from collections.abc import Iterable

from torch import nn
from transformers import PreTrainedModel

from clada_neuro.errors import ModelError, did_you_mean
from clada_neuro.models.families import FAMILIES
from clada_neuro.models.ffn import FFN

SUPPORTED = tuple(FAMILIES)
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
    if kind not in FAMILIES:
        raise ModelError(
            f"model type '{kind}' is not supported{did_you_mean(kind, list(SUPPORTED))}; {supported}"
        )
    if getattr(model.config, "quantization_config", None) is not None:
        raise ModelError(f"model of type '{kind}' is quantised; load it in float32 or bfloat16")
    family = FAMILIES[kind]
    layers: Iterable[nn.Module] = model.get_submodule(family.layers)  # type: ignore[assignment]
    return [FFN(index, layer.get_submodule(family.block), family) for index, layer in enumerate(layers)]
