"""Attribution in small models: gradient × output with its correction (Song et al. 2024, arXiv 2406.06562).

A neuron's score is x_i·∂F/∂x_i + ½·|x_i|·√(Σ_k (∂F/∂x_k)²): x its output, F the log-probability of the token that the
dense model would say next, the sum over the neurons of its layer. The first term is the gain of F that the output
brings, to first order; the second is the expected error of that term when neurons of other layers are left out, too.
The lowest scores of a layer are left out, token by token.

Chosen here: ∂F/∂x of a token is known after a pass forwards and backwards, which reads all weights, so gradients are those
of calibration texts, E[∂F/∂x_i] and √(E[Σ_k (∂F/∂x_k)²]), and only x is the token's own. The pass goes backwards from the sum
of F over the tokens of a text: in a token's gradient is what its output does to its own F and to that of all later tokens. Divided by half of the latter,
the score is |x_i| + x_i·t_i with a tilt t_i = 2·E[∂F/∂x_i] / √(E[Σ_k (∂F/∂x_k)²]). The paper scores attention heads and
neurons; here, as for TEAL and WINA, inputs of the block are scored alike, shares of rows are set block by block, and
attention stays dense. What a row has to reach depends on its sign, which kernels do not follow.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from clada_neuro.passes.fitting import Passes
from clada_neuro.passes.gradients import each_gradient
from clada_neuro.passes.measure import DENSE_PREFIX
from clada_neuro.passes.pieces import Piece
from clada_neuro.policies.declaration import Declaration, PolicyRequest
from clada_neuro.policies.teal import tables_like
from clada_neuro.runtime.policy import HIDDEN, INPUT
from clada_neuro.runtime.thresholds import ThresholdPolicy

_BATCH = 2  # texts of a pass with gradients


@dataclass(frozen=True, eq=False)
class Attribution(ThresholdPolicy):
    """Thresholds on |x_i| + x_i·t_i.

    Attributes
    ----------
    tilts : mapping of site to Tensor
        t ``(layers, rows)``: what the gradient adds to a magnitude, with the output's sign.
    """

    name: ClassVar[str] = "attribution"
    sites: ClassVar[tuple[str, ...]] = (INPUT, HIDDEN)

    tilts: Mapping[str, Tensor] = field(default_factory=dict)

    def score(self, layer: int, site: str, values: Tensor) -> Tensor:
        """Return |x_i| + x_i·t_i, in float32; where the gradient takes more than the correction gives, 0."""
        values = values.float()
        return (values.abs() + values * self.tilts[site][layer]).clamp_min(0)


def tilts_of(gradients: Mapping[str, Tensor], squares: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return t from mean gradients ``(layers, rows)`` and mean squared gradients ``(layers, rows)``."""
    return {
        site: 2 * gradients[site] / squares[site].sum(-1, keepdim=True).sqrt().clamp_min(1e-30)
        for site in gradients
    }


def _tilts(passes: Passes) -> Piece:
    """Measure gradients of F on the texts, dense prefix left out."""
    first = passes.layers[0]
    rows = {INPUT: first.hidden_size, HIDDEN: first.intermediate_size}
    empty = {
        site: torch.zeros(len(passes.layers), count, device=passes.tokens.device)
        for site, count in rows.items()
    }
    sums, squares = empty, {site: table.clone() for site, table in empty.items()}

    def take(site: str, layer: int, values: Tensor, gradient: Tensor) -> None:
        seen = gradient.float()
        sums[site][layer] -= seen.sum((0, 1))  # F is minus the loss
        squares[site][layer] += seen.square().sum((0, 1))

    each_gradient(
        passes.model,
        passes.layers,
        passes.tokens,
        lambda logits: logits.argmax(-1),
        take,
        passes.tick,
        batch=_BATCH,
    )
    count = len(passes.tokens) * (passes.tokens.shape[1] - DENSE_PREFIX)
    means, mean_squares = (
        {site: table / count for site, table in tables.items()} for tables in (sums, squares)
    )
    return {}, tilts_of(means, mean_squares)


def _fit(passes: Passes) -> Piece:
    _, found = passes.piece("attribution-tilts", lambda: _tilts(passes))
    tilts = {site: found[site].to(passes.tokens.device) for site in Attribution.sites}
    rule = Attribution({}, {}, tilts=tilts)

    tables = passes.at_each_sparsity("attribution", tables_like(passes, rule))
    return {}, {**tables, **{f"attribution_{site}_tilt": tilt for site, tilt in tilts.items()}}


def _make(asked: PolicyRequest) -> Attribution:
    thresholds = asked.fitted("attribution", *Attribution.sites)
    tensors = asked.calibration.tensors
    tilts = {site: tensors[f"attribution_{site}_tilt"] for site in Attribution.sites}
    return Attribution(thresholds, {}, tilts=tilts)


DECLARED = [Declaration("attribution", 82, _make, _fit)]
