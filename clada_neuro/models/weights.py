"""Linear maps as transformers has them, and their weights the same way round."""

from torch import Tensor, nn
from transformers.models.falcon.modeling_falcon import FalconLinear
from transformers.pytorch_utils import Conv1D

_PLAIN = (nn.Linear, Conv1D, FalconLinear)


def is_plain(part: nn.Module) -> bool:
    """Return whether a module is a linear map that is neither quantised nor wrapped."""
    return type(part) in _PLAIN


def matrix(part: nn.Module) -> Tensor:
    """Return a linear map's weight as ``(out, in)``; GPT-2's ``Conv1D`` stores the transpose."""
    weight = part.weight
    assert isinstance(weight, Tensor)
    return weight.t() if isinstance(part, Conv1D) else weight
