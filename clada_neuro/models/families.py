"""Where each model family has its feed-forward blocks: one declaration a family, by the `model_type` of its config."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """How to find a family's blocks and the parts of one.

    Attributes
    ----------
    layers : str
        Path from the causal model to its list of layers.
    block : str
        Name of the block in a layer; empty where the layer itself holds the maps.
    inputs : tuple of str
        The linear maps that read x: gate and up, one map with both (`fused`), or the first map of a plain block.
    down : str
        The linear map that reads the hidden activation.
    activation : str
        The function σ.
    fused : bool
        Whether the one input map computes [W_g x; W_u x].
    policies : bool
        Whether the model runs under a policy, which needs logits that are the output layer's own and positions that the
        runtime can set; otherwise it is measured only.
    tree : bool
        Whether the model takes any attention mask and any positions, so that texts can be packed into trees.
    norm : str
        Path from the causal model to the final norm; what holds it runs the layers.
    """

    layers: str = "model.layers"
    block: str = "mlp"
    inputs: tuple[str, ...] = ("gate_proj", "up_proj")
    down: str = "down_proj"
    activation: str = "act_fn"
    fused: bool = False
    policies: bool = True
    tree: bool = True
    norm: str = "model.norm"

    @property
    def gated(self) -> bool:
        """Whether a = σ(W_g x) ⊙ W_u x; plain blocks have a = σ(W_1 x)."""
        return self.fused or len(self.inputs) == 2


_LLAMA = Family()
_SCALED = Family(policies=False)  # logits are scaled or capped after the output layer
FAMILIES: dict[str, Family] = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gemma": _LLAMA,
    "gemma2": _SCALED,
    "gemma3_text": _SCALED,
    "olmo": _LLAMA,
    "olmo2": _LLAMA,
    "stablelm": _LLAMA,
    "granite": _SCALED,
    "cohere": _SCALED,
    "phi3": Family(inputs=("gate_up_proj",), activation="activation_fn", fused=True),
    "phi": Family(inputs=("fc1",), down="fc2", activation="activation_fn", norm="model.final_layernorm"),
    "starcoder2": Family(inputs=("c_fc",), down="c_proj", activation="act"),
    "gpt2": Family(
        "transformer.h", inputs=("c_fc",), down="c_proj", activation="act", norm="transformer.ln_f"
    ),
    # Local attention counts places in the cache, padding included.
    "gpt_neo": Family(
        "transformer.h",
        inputs=("c_fc",),
        down="c_proj",
        activation="act",
        policies=False,
        tree=False,
        norm="transformer.ln_f",
    ),
    "gptj": Family(
        "transformer.h", inputs=("fc_in",), down="fc_out", activation="act", norm="transformer.ln_f"
    ),
    "opt": Family(
        "model.decoder.layers", "", ("fc1",), "fc2", "activation_fn", norm="model.decoder.final_layer_norm"
    ),
    "gpt_neox": Family(
        "gpt_neox.layers",
        inputs=("dense_h_to_4h",),
        down="dense_4h_to_h",
        activation="act",
        norm="gpt_neox.final_layer_norm",
    ),
    "falcon": Family(
        "transformer.h",
        inputs=("dense_h_to_4h",),
        down="dense_4h_to_h",
        activation="act",
        norm="transformer.ln_f",
    ),
    # ALiBi: no positions to set.
    "bloom": Family(
        "transformer.h",
        inputs=("dense_h_to_4h",),
        down="dense_4h_to_h",
        activation="gelu_impl",
        policies=False,
        tree=False,
        norm="transformer.ln_f",
    ),
    "mpt": Family(
        "transformer.blocks",
        "ffn",
        ("up_proj",),
        "down_proj",
        "act",
        policies=False,
        tree=False,
        norm="transformer.norm_f",
    ),
}
