"""SCAP, statistical calibrated activation pruning (Chua, Pan & Jain 2024, arXiv 2412.07174).

Elements of a matrix's input are kept where they lie at least a threshold away from the mode m of that matrix's inputs,
|x_j − m| ≥ τ, the quantile at the matrix's sparsity. What is dropped stands at m instead of zero (mode centring): W·m is a
constant, added to the output. m is one number a matrix.

Chosen here: m is 0, the median or the peak of a kernel density, whichever leaves the least error of the block's output
when half of the rows are dropped. The paper has these three, sets 0 for gated models and a peak or the median for
plain ones by hand, and takes among peaks the one with the least error. It sets one sparsity for all up and gate maps and one for all down
maps; here shares are set block by block, as for TEAL, which SCAP is where all modes are 0. Gate and up share one mask;
W·m is not counted in `ffn_sparsity`, as no bias is. Kernels do not follow it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import torch
from scipy import stats
from torch import Tensor

from clada_neuro.models.ffn import FFN
from clada_neuro.models.watching import watching
from clada_neuro.passes.error import block_error
from clada_neuro.passes.fitting import Passes
from clada_neuro.passes.measure import DENSE_PREFIX, empty_table
from clada_neuro.passes.pieces import Piece
from clada_neuro.policies.declaration import Declaration, PolicyRequest
from clada_neuro.policies.teal import tables_like
from clada_neuro.runtime.policy import HIDDEN, INPUT
from clada_neuro.runtime.thresholds import ThresholdPolicy

_SAMPLE, _GRID = 5_000, 401  # values and points of a kernel density
_NARROWER = 0.5  # of Scott's bandwidth, as in the authors' code
_MIDDLE = (0.05, 0.95)  # quantiles between which the peak is looked for
_HALF = {INPUT: (0.5, 0.0), HIDDEN: (0.0, 0.5)}


@dataclass(frozen=True, eq=False)
class Scap(ThresholdPolicy):
    """Thresholds on |x_j − m|.

    Attributes
    ----------
    modes : mapping of site to Tensor
        m of what arrives there, ``(layers,)``.
    """

    name: ClassVar[str] = "scap"
    sites: ClassVar[tuple[str, ...]] = (INPUT, HIDDEN)

    modes: Mapping[str, Tensor] = field(default_factory=dict)

    def score(self, layer: int, site: str, values: Tensor) -> Tensor:
        """Return |x_j − m|, in float32."""
        return (values.float() - self.modes[site][layer]).abs()

    def masked(self, layer: int, site: str, values: Tensor, mask: Tensor) -> Tensor:
        """Return kept rows as they are, and the mode."""
        return torch.where(mask, values, self.modes[site][layer].to(values.dtype))


def candidates(values: Tensor) -> list[float]:
    """Return 0, the median and the peak of a kernel density of many values."""
    flat = values.flatten()
    flat = flat[:: max(1, len(flat) // _SAMPLE)].float()
    low, high = flat.quantile(torch.tensor(_MIDDLE, device=flat.device)).tolist()
    if low == high:  # most values are one and the same, as after ReLU
        return [0.0, low]
    density = stats.gaussian_kde(flat.cpu().numpy(), lambda kde: _NARROWER * kde.scotts_factor())
    points = torch.linspace(low, high, _GRID)
    peak = float(points[int(density(points.numpy()).argmax())])
    return [0.0, float(flat.median()), peak]


def _modes(passes: Passes) -> Piece:
    """Choose the modes of all sites in a dense pass."""
    modes = empty_table(Scap.sites, len(passes.layers), passes.tokens.device)

    def error(ffn: FFN, x: Tensor, site: str, mode: float) -> float:
        tried = empty_table(Scap.sites, len(passes.layers), passes.tokens.device)
        tried[site][ffn.layer] = mode
        rule = Scap({}, {}, modes=tried)
        return block_error(
            ffn, x, *_HALF[site], partial(rule.score, ffn.layer), partial(rule.masked, ffn.layer)
        )

    def choose(ffn: FFN, x: Tensor) -> None:
        x = x.reshape(*passes.tokens.shape, -1)[:, DENSE_PREFIX:].flatten(0, 1)
        for site, values in ((INPUT, x), (HIDDEN, ffn.hidden(x))):
            modes[site][ffn.layer] = min(candidates(values), key=partial(error, ffn, x, site))

    with watching(passes.layers, x=choose), torch.no_grad():
        passes.model(passes.tokens, logits_to_keep=1, use_cache=False)
    passes.tick(passes.tokens.numel())
    return {}, modes


def _fit(passes: Passes) -> Piece:
    _, found = passes.piece("scap-modes", lambda: _modes(passes))
    modes = {site: found[site].to(passes.tokens.device) for site in Scap.sites}
    rule = Scap({}, {}, modes=modes)

    tables = passes.at_each_sparsity("scap", tables_like(passes, rule))
    return {}, {**tables, **{f"scap_{site}_mode": mode for site, mode in modes.items()}}


def _make(asked: PolicyRequest) -> Scap:
    thresholds = asked.fitted("scap", *Scap.sites)
    modes = {site: asked.calibration.tensors[f"scap_{site}_mode"] for site in Scap.sites}
    return Scap(thresholds, {}, modes=modes)


DECLARED = [Declaration("scap", 84, _make, _fit)]
