"""Where each model family has its feed-forward blocks and the maps of its attention: one declaration a family, by the `model_type` of
its config.
"""

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
    attention : str
        Path from a layer to its attention.
    qkv : tuple of str
        The linear maps of it that make queries, keys and values, in the order in which the model calls them; one map may make all.
    out : str
        The linear map that reads what the heads gathered.
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
    attention: str = "self_attn"
    qkv: tuple[str, ...] = ("q_proj", "k_proj", "v_proj")
    out: str = "o_proj"

    @property
    def gated(self) -> bool:
        """Whether a = σ(W_g x) ⊙ W_u x; plain blocks have a = σ(W_1 x)."""
        return self.fused or len(self.inputs) == 2


_LLAMA = Family()
_SCALED = Family(policies=False)  # logits are scaled or capped after the output layer
_FUSED_HEADS = ("query_key_value",)
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
    "phi3": Family(inputs=("gate_up_proj",), activation="activation_fn", fused=True, qkv=("qkv_proj",)),
    "phi": Family(
        inputs=("fc1",), down="fc2", activation="activation_fn", norm="model.final_layernorm", out="dense"
    ),
    "starcoder2": Family(inputs=("c_fc",), down="c_proj", activation="act"),
    "gpt2": Family(
        "transformer.h",
        inputs=("c_fc",),
        down="c_proj",
        activation="act",
        norm="transformer.ln_f",
        attention="attn",
        qkv=("c_attn",),
        out="c_proj",
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
        attention="attn.attention",
        out="out_proj",
    ),
    "gptj": Family(
        "transformer.h",
        inputs=("fc_in",),
        down="fc_out",
        activation="act",
        norm="transformer.ln_f",
        attention="attn",
        out="out_proj",
    ),
    "opt": Family(
        "model.decoder.layers",
        "",
        ("fc1",),
        "fc2",
        "activation_fn",
        norm="model.decoder.final_layer_norm",
        out="out_proj",
    ),
    "gpt_neox": Family(
        "gpt_neox.layers",
        inputs=("dense_h_to_4h",),
        down="dense_4h_to_h",
        activation="act",
        norm="gpt_neox.final_layer_norm",
        attention="attention",
        qkv=_FUSED_HEADS,
        out="dense",
    ),
    "falcon": Family(
        "transformer.h",
        inputs=("dense_h_to_4h",),
        down="dense_4h_to_h",
        activation="act",
        norm="transformer.ln_f",
        attention="self_attention",
        qkv=_FUSED_HEADS,
        out="dense",
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
        attention="self_attention",
        qkv=_FUSED_HEADS,
        out="dense",
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
        attention="attn",
        qkv=("Wqkv",),
        out="out_proj",
    ),
}
