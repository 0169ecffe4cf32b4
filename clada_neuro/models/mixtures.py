"""Mixtures of experts: where each family has its experts, one declaration a family, and what those that ran contribute.

A router gives each token k of E experts, gated feed-forward blocks of their own, and weights g. The output is the sum of
theirs, weighted, and that of a shared expert where there is one, which every token passes. So the contributions of a token
are a vector over the neurons of all experts, e_i = g·|a_i|·c_i, with zeros for experts that did not run. Measures that
count neurons (how many hold the energy, how many take part) count those of the experts that ran, whose number is the same for
every token; those that compare tokens compare the whole vectors, so that other experts are other neurons.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from clada_neuro.models.families import Family
from clada_neuro.models.ffn import FFN

_GATED = Family()


@dataclass(frozen=True)
class Mixture:
    """How to find a family's experts.

    Attributes
    ----------
    block : str
        In a layer: what holds the experts; in layers without, a gated block.
    shared : str
        In the block: a gated block that every token passes.
    shared_gate : str
        In the block: the linear map whose sigmoid weighs the shared one.
    layers : str
        Path from the causal model to its list of layers.
    """

    block: str = "mlp"
    shared: str = ""
    shared_gate: str = ""
    layers: str = "model.layers"


MIXTURES: dict[str, Mixture] = {
    "mixtral": Mixture(),
    "qwen2_moe": Mixture(shared="shared_expert", shared_gate="shared_expert_gate"),
    "qwen3_moe": Mixture(),
    "olmoe": Mixture(),
    "phimoe": Mixture(),
    "gpt_oss": Mixture(),
    "deepseek_v3": Mixture(shared="shared_experts"),
    "granitemoe": Mixture(block="block_sparse_moe"),
    "jamba": Mixture(block="feed_forward"),
}


class Experts:
    """The experts of one layer.

    Attributes
    ----------
    module : torch.nn.Module
        Called with inputs ``(tokens, hidden)``, the experts chosen and their weights, each ``(tokens, k)``.
    size : int
        Neurons of all experts, the shared one included.
    """

    def __init__(self, layer: int, block: nn.Module, mixture: Mixture) -> None:
        self.layer = layer
        self.module: Any = block.get_submodule("experts")
        self.shared = FFN(layer, block.get_submodule(mixture.shared), _GATED) if mixture.shared else None
        self.shared_gate: Any = block.get_submodule(mixture.shared_gate) if mixture.shared_gate else None
        down: Any = self.module.down_proj.float()  # (experts, hidden, neurons), or (experts, neurons, hidden)
        self.neuron_norms: Tensor = down.norm(dim=2 if self.module.is_transposed else 1)
        common = self.shared.intermediate_size if self.shared else 0
        self.size = self.neuron_norms.numel() + common

    def ran(self, chosen: Tensor) -> int:
        """Return the number of neurons that a token passes, from the experts chosen ``(tokens, k)``."""
        return self.size - self.neuron_norms.shape[1] * (self.neuron_norms.shape[0] - chosen.shape[1])

    def contributions(self, x: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """Return e ``(tokens, size)`` in float32, expert after expert and the shared one last."""
        experts, width = self.neuron_norms.shape
        e = x.new_zeros(len(x), experts, width, dtype=torch.float32)
        for expert in chosen.unique().tolist():
            token, place = torch.where(chosen == expert)
            a = self._hidden(x[token], expert).float().abs()
            e[token, expert] = a * self.neuron_norms[expert] * weights[token, place, None].float().abs()
        parts = [e.reshape(len(x), -1)]
        if self.shared is not None:
            common = self.shared.hidden(x).float().abs() * self.shared.neuron_norms.to(x.device)
            if self.shared_gate is not None:
                common = common * self.shared_gate.forward(x).float().sigmoid()
            parts.append(common)
        return torch.cat(parts, dim=-1)

    def _hidden(self, x: Tensor, expert: int) -> Tensor:
        weight = self.module.gate_up_proj[expert]
        bias = self.module.gate_up_proj_bias[expert] if self.module.has_bias else None
        first = nn.functional.linear(x, weight.t() if self.module.is_transposed else weight, bias)
        return self.module._apply_gate(first)


def mixture_layers(model: nn.Module, kind: str) -> list[FFN | Experts]:
    """Return the blocks of a mixture, first layer first: experts, and plain gated blocks in layers without."""
    mixture = MIXTURES[kind]
    layers: Any = model.get_submodule(mixture.layers)
    blocks = [layer.get_submodule(mixture.block) for layer in layers]
    return [
        Experts(number, block, mixture) if hasattr(block, "experts") else FFN(number, block, _GATED)
        for number, block in enumerate(blocks)
    ]
