"""M-COUNTDOWN (Cheon & Kang 2025, arXiv 2505.17701): neurons by what the up map gives for them.

A block's output is the sum of a_i·W_d[:, i]. A neuron is kept when |u_i| = |(W_u x)_i|, an indirect coefficient of that sum that
needs no predictor, reaches a layer's threshold, the quantile of |u| at the wanted sparsity. W_u is read whole; W_g and W_d are spared, so that
`ffn_sparsity` is 2/3 of the share of dropped neurons. Plain blocks have no up map: there a itself decides, as in CATS.

Chosen here: thresholds are over all tokens after the dense prefix, with earlier blocks sparse, as for every policy here. The paper's
D-COUNTDOWN, by |a_i| itself, needs a predictor trained for each layer and is not there.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from clada_neuro.passes.fitting import Passes
from clada_neuro.passes.pieces import Piece
from clada_neuro.policies.cats import thresholds_at
from clada_neuro.policies.declaration import Declaration, PolicyRequest
from clada_neuro.runtime.policy import UP
from clada_neuro.runtime.thresholds import ThresholdPolicy


@dataclass(frozen=True, eq=False)
class MCountdown(ThresholdPolicy):
    """``thresholds["up"]`` are quantiles of |u|; there are no weights."""

    name: ClassVar[str] = "m-countdown"
    sites: ClassVar[tuple[str, ...]] = (UP,)


def _fit(passes: Passes) -> Piece:
    return {}, passes.at_each_sparsity("m-countdown", partial(thresholds_at, passes, sites=MCountdown.sites))


def _make(asked: PolicyRequest) -> MCountdown:
    return MCountdown(asked.fitted("m-countdown", UP), {})


DECLARED = [Declaration("m-countdown", 63, _make, _fit)]
