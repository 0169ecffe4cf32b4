"""Attribution in small models: gradient × output with its correction (Song et al. 2024, arXiv 2406.06562).

A neuron's score is x_i·∂F/∂x_i + ½·|x_i|·√(Σ_k (∂F/∂x_k)²): x its output, F the log-probability of the token that the
dense model would say next, the sum over the neurons of its layer. The first term is the gain of F that the output
brings, to first order; the second is the expected error of that term when neurons of other layers are left out, too.
The lowest scores of a layer are left out, token by token.

Chosen here: ∂F/∂x of a token is known after a pass forwards and backwards, which reads all weights, so gradients are those
of calibration texts, E[∂F/∂x_i] and √(E[Σ_k (∂F/∂x_k)²]), and only x is the token's own. Divided by half of the latter,
the score is |x_i| + x_i·t_i with a tilt t_i = 2·E[∂F/∂x_i] / √(E[Σ_k (∂F/∂x_k)²]). The paper scores attention heads and
neurons; here, as for TEAL and WINA, inputs of the block are scored alike, shares of rows are set block by block, and
attention stays dense. What a row has to reach depends on its sign, which kernels do not follow.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from clada_neuro.models.ffn import FFN
from clada_neuro.models.watching import watching
from clada_neuro.passes.fitting import Passes
from clada_neuro.passes.measure import DENSE_PREFIX
from clada_neuro.passes.pieces import Piece
from clada_neuro.policies.declaration import Declaration, PolicyRequest
from clada_neuro.policies.teal import fit_blocks
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

    def take(site: str, layer: int, shape: torch.Size, gradient: Tensor) -> None:
        seen = gradient.reshape(*shape, -1)[:, DENSE_PREFIX:].float()
        sums[site][layer] += seen.sum((0, 1))
        squares[site][layer] += seen.square().sum((0, 1))

    for batch in passes.tokens.split(_BATCH):

        def watch(site: str, ffn: FFN, values: Tensor, shape: torch.Size = batch.shape) -> None:
            values.register_hook(lambda gradient: take(site, ffn.layer, shape, gradient))

        embedded = passes.model.get_input_embeddings()(batch).detach().requires_grad_(True)
        seeing = watching(passes.layers, x=partial(watch, INPUT), a=partial(watch, HIDDEN))
        with seeing, torch.enable_grad():
            logits = passes.model(inputs_embeds=embedded, use_cache=False).logits.float().flatten(0, 1)
            said = logits.detach().argmax(-1)
            (-nn.functional.cross_entropy(logits, said, reduction="sum")).backward()
        passes.tick(batch.numel())
    count = len(passes.tokens) * (passes.tokens.shape[1] - DENSE_PREFIX)
    means, mean_squares = (
        {site: table / count for site, table in tables.items()} for tables in (sums, squares)
    )
    return {}, tilts_of(means, mean_squares)


def _fit(passes: Passes) -> Piece:
    _, found = passes.piece("attribution-tilts", lambda: _tilts(passes))
    tilts = {site: found[site].to(passes.tokens.device) for site in Attribution.sites}
    rule = Attribution({}, {}, tilts=tilts)

    def at(sparsity: float) -> dict[str, Tensor]:
        return fit_blocks(passes, {}, sparsity, like=rule)[1].thresholds

    tables = passes.at_each_sparsity("attribution", at)
    return {}, {**tables, **{f"attribution_{site}_tilt": tilt for site, tilt in tilts.items()}}


def _make(asked: PolicyRequest) -> Attribution:
    thresholds = asked.fitted("attribution", *Attribution.sites)
    tensors = asked.calibration.tensors
    tilts = {site: tensors[f"attribution_{site}_tilt"] for site in Attribution.sites}
    return Attribution(thresholds, {}, tilts=tilts)


DECLARED = [Declaration("attribution", 82, _make, _fit)]
