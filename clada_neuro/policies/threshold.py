"""TT, threshold truncation (Ma et al. 2024, arXiv 2405.09274, with the CETT of Zhang et al. 2024, arXiv 2402.03804).

A neuron is kept when the norm of its output, ‖n_i‖ = |a_i|·‖W_d[:, i]‖₂, reaches a threshold ε_l. The thresholds give
every layer the same CETT, the mean relative error ‖Σ_dropped n_i‖ / ‖FFN(x)‖. a must be computed first, so only the
down matrix is spared: `ffn_sparsity` stays below 1/3 in gated blocks (1/2 in plain ones).
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import torch

from clada_neuro.passes.error import equal_error_threshold
from clada_neuro.passes.fitting import GRID, Passes
from clada_neuro.passes.pieces import Piece
from clada_neuro.policies.declaration import Declaration, PolicyRequest
from clada_neuro.runtime.policy import HIDDEN
from clada_neuro.runtime.thresholds import ThresholdPolicy

_REACH = 0.3
_ERRORS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7)  # CETT at which thresholds are fitted


@dataclass(frozen=True, eq=False)
class ThresholdTruncation(ThresholdPolicy):
    """``weights["hidden"]`` are the norms c_i, ``thresholds["hidden"]`` the ε_l of equal CETT."""

    name: ClassVar[str] = "tt"
    sites: ClassVar[tuple[str, ...]] = (HIDDEN,)


def _fit(passes: Passes) -> Piece:
    """Interpolate between common errors; constant beyond the reach."""

    def at(error: float) -> Piece:
        found = passes.thresholds(
            ThresholdTruncation.sites,
            lambda layer, site, seen: equal_error_threshold(passes.layers[layer], seen, error),
            {HIDDEN: passes.norms[HIDDEN]},
        )
        return {"ffn_sparsity": found.sparsity}, {"thresholds": found.thresholds[HIDDEN]}

    pieces = [passes.piece(f"tt-{error}", partial(at, error)) for error in _ERRORS]
    points = [0.0, *(header["ffn_sparsity"] for header, _ in pieces)]
    columns = torch.stack(
        [torch.zeros(len(passes.layers)), *(tensors["thresholds"] for _, tensors in pieces)], dim=1
    ).numpy()
    wanted = [min(sparsity, _REACH) for sparsity in GRID]
    table = np.stack([np.interp(wanted, points, column) for column in columns], axis=1)
    return {"tt_reach": _REACH}, {f"tt_{HIDDEN}": torch.tensor(table, dtype=torch.float32)}


def _make(asked: PolicyRequest) -> ThresholdTruncation:
    reach = asked.calibration.header["baselines"]["tt_reach"]
    return ThresholdTruncation(asked.fitted("tt", HIDDEN, reach=reach), {HIDDEN: asked.norms[HIDDEN]})


DECLARED = [Declaration("tt", 50, _make, _fit)]
