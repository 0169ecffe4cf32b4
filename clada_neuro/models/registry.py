"""Find the feed-forward blocks of a model; anything not known by name has none here, with the reason."""

from collections.abc import Iterable

from torch import nn
from transformers import PreTrainedModel

from clada_neuro.errors import ModelError
from clada_neuro.models.families import FAMILIES
from clada_neuro.models.ffn import FFN
from clada_neuro.models.limits import is_masked, refuse_masked
from clada_neuro.models.mixtures import MIXTURES, Experts, mixture_layers
from clada_neuro.models.placing import offloaded, refuse_spread

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
    supported = f"supported are {', '.join(FAMILIES)}"
    if _is_mixture(model):
        raise ModelError(
            f"model type '{kind}' is a mixture of experts, which has no single block; {supported}"
        )
    if kind not in FAMILIES:
        raise ModelError(f"model type '{kind}' is not supported; {supported}")
    if _is_quantised(model):
        raise ModelError(f"model of type '{kind}' is quantised; load it in float32 or bfloat16")
    family = FAMILIES[kind]
    layers: Iterable[nn.Module] = model.get_submodule(family.layers)  # type: ignore[assignment]
    return [
        FFN(index, layer.get_submodule(family.block), family, layer) for index, layer in enumerate(layers)
    ]


def policy_layers(model: PreTrainedModel) -> list[FFN]:
    """Return what `ffn_layers` returns, of a model that runs under policies.

    Raises
    ------
    ModelError
        As `ffn_layers`, and for a family that is measured only, known or not.
    """
    refuse_masked(model)
    refuse_spread(model)
    kind = model.config.get_text_config().model_type
    under_policies = [name for name, family in FAMILIES.items() if family.policies]
    if kind not in under_policies and not _is_mixture(model):
        able = ", ".join(under_policies)
        raise ModelError(f"model type '{kind}' is measured, but does not run under policies; {able} do")
    return ffn_layers(model)


def measured_layers(model: PreTrainedModel) -> tuple[list[FFN | Experts], str]:
    """Return the blocks whose activity is measured and no reason, or none and the reason why it is not."""
    kind = model.config.get_text_config().model_type
    if is_masked(model):
        return (
            [],
            "a masked language model reads every text as often as it has words, so no one pass is its activity",
        )
    if offloaded(model):
        return (
            [],
            "part of the weights waits in the memory of the CPU, where contributions cannot be measured",
        )
    try:
        if _is_mixture(model) and kind in MIXTURES and not _is_quantised(model):
            return mixture_layers(model, kind), ""
        return [*ffn_layers(model)], ""
    except ModelError as error:
        reason = str(error)
    if _is_mixture(model) and kind not in MIXTURES:
        reason = f"model type '{kind}' is a mixture of experts that are not known here"
    elif kind not in {*FAMILIES, *MIXTURES}:
        reason = f"model type '{kind}' has no feed-forward block that is known here"
    return [], reason


def is_known(model: PreTrainedModel) -> bool:
    """Return whether the model's family is one whose keys and values, positions and padding are known here."""
    return model.config.get_text_config().model_type in FAMILIES


def takes_trees(model: PreTrainedModel) -> bool:
    """Return whether the model can be given texts as a tree: any attention mask, and any positions."""
    config = model.config.get_text_config()
    if not is_known(model) or _is_mixture(model) or not FAMILIES[config.model_type].tree:
        return False
    by_distance = bool(getattr(config, "alibi", False))  # of places in the row
    return not by_distance and config._attn_implementation in ("eager", "sdpa")


def _is_mixture(model: PreTrainedModel) -> bool:
    config = model.config.get_text_config()
    return any(getattr(config, name, None) for name in _EXPERTS)


def _is_quantised(model: PreTrainedModel) -> bool:
    return getattr(model.config, "quantization_config", None) is not None
