"""Plain two-map blocks: GPT-2 (transposed ``Conv1D``), OPT (inside its decoder layer) and GPT-NeoX/Pythia."""

from typing import ClassVar

from torch import Tensor, nn

from clada_neuro.models.ffn import FFN


class PlainFFN(FFN):
    """a = σ(W_1 x); the subclasses name the parts."""

    gated = False
    names: ClassVar[tuple[str, str, str]]

    def __init__(self, layer: int, module: nn.Module) -> None:
        up, down, activation = (getattr(module, name) for name in self.names)
        super().__init__(layer, module, (up,), down)
        self.activation = activation

    def hidden(self, x: Tensor) -> Tensor:
        """Return a ``(…, intermediate)``."""
        return self.activation(self.inputs[0].forward(x))

    def gate(self, projected: Tensor) -> Tensor:
        """Return a itself: a plain block has no separate gate."""
        return self.activation(projected)


class GPT2FFN(PlainFFN):
    """GPT-2."""

    names = ("c_fc", "c_proj", "act")


class OPTFFN(PlainFFN):
    """OPT; the module is the decoder layer."""

    names = ("fc1", "fc2", "activation_fn")


class GPTNeoXFFN(PlainFFN):
    """GPT-NeoX and Pythia."""

    names = ("dense_h_to_4h", "dense_4h_to_h", "act")
