"""Below which activation a neuron counts as left out, for passes that leave nothing out."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Cutoffs:
    """Calibrated cut-offs on |a| (`clada_neuro.calibration.cutoffs.hidden_cutoffs` makes them).

    Attributes
    ----------
    values : torch.Tensor, shape (layers, neurons)
    source : dict
        What they come from, as a manifest records it.
    """

    values: Tensor
    source: dict[str, Any]
