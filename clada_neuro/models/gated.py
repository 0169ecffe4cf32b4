"""Gated blocks: Llama, Mistral, Qwen2, Qwen3 and Gemma, and Phi-3 with its fused gate and up map."""

from torch import Tensor, nn

from clada_neuro.models.ffn import FFN


class GatedFFN(FFN):
    """a = σ(W_g x) ⊙ W_u x, with separate gate and up maps."""

    gated = True

    def __init__(self, layer: int, module: nn.Module) -> None:
        super().__init__(layer, module, (module.gate_proj, module.up_proj), module.down_proj)  # type: ignore[arg-type]

    def hidden(self, x: Tensor) -> Tensor:
        """Return a ``(…, intermediate)``."""
        return self.gate(self.inputs[0].forward(x)) * self.inputs[1].forward(x)

    def gate(self, projected: Tensor) -> Tensor:
        """Return g = σ(W_g x) from W_g x."""
        return self.module.act_fn(projected)  # type: ignore[operator]


class FusedGatedFFN(FFN):
    """a = σ(W_g x) ⊙ W_u x, with [W_g; W_u] in one map."""

    gated = True

    def __init__(self, layer: int, module: nn.Module) -> None:
        super().__init__(layer, module, (module.gate_up_proj,), module.down_proj)  # type: ignore[arg-type]

    def hidden(self, x: Tensor) -> Tensor:
        """Return a ``(…, intermediate)``."""
        projected = self.inputs[0].forward(x)
        return self.gate(projected) * projected.chunk(2, dim=-1)[1]

    def gate(self, projected: Tensor) -> Tensor:
        """Return g = σ(W_g x) from [W_g x; W_u x]."""
        return self.module.activation_fn(projected.chunk(2, dim=-1)[0])  # type: ignore[operator]
