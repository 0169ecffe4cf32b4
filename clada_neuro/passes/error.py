"""How wrong a block's output is when rows are dropped.

Relative error of a layer: E‖FFN(x) − FFN_masked(x)‖ / ‖FFN(x)‖, for any site. Its hidden-site case is the CETT
(cumulative errors of tail truncation) of Zhang et al. 2024, arXiv 2402.03804. Its mean over tokens grows with the
threshold; single tokens' do not, so searches use the mean.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.models.ffn import FFN
from clada_neuro.models.watching import watching
from clada_neuro.passes.measure import DENSE_PREFIX, quantile
from clada_neuro.runtime.policy import HIDDEN, INPUT

_BISECTIONS = 12
_ROWS = 128  # tokens that decide: the mean error of a block is stable long before


def relative_error(full: Tensor, partial: Tensor) -> float:
    """Return the mean over tokens of ‖full − partial‖ / ‖full‖, both ``(tokens, hidden)``."""
    return float(((full - partial).norm(dim=-1) / full.norm(dim=-1).clamp_min(1e-12)).mean())


def block_error(
    ffn: FFN,
    x: Tensor,
    input_share: float,
    hidden_share: float,
    score: Callable[[str, Tensor], Tensor],
    masked: Callable[[str, Tensor, Tensor], Tensor] = lambda site, values, mask: values * mask,
) -> float:
    """Return the relative error when the lowest-scored shares of rows are dropped at both sites.

    ``masked`` says what the block sees of a site's values and mask.
    """
    x = x[:: max(1, len(x) // _ROWS)]
    scores = score(INPUT, x)
    a = ffn.hidden(masked(INPUT, x, scores >= quantile(scores, input_share)))
    scores = score(HIDDEN, a)
    passed = masked(HIDDEN, a, scores >= quantile(scores, hidden_share))
    return relative_error(ffn.output(ffn.hidden(x)), ffn.output(passed))


@torch.no_grad()
def site_errors(
    model: PreTrainedModel,
    layers: list[FFN],
    tokens: Tensor,
    weights: Mapping[str, Tensor],
    shares: Sequence[float],
) -> dict[str, Tensor]:
    """Return each site's relative error ``(layers, len(shares))`` when shares of its rows are dropped, alone.

    Rows are scored by |value| · weight, ``weights`` being ``(layers, rows)`` a site; blocks see what they see in the
    dense model on texts ``(texts, length)``.
    """
    errors = {site: torch.zeros(len(layers), len(shares)) for site in (INPUT, HIDDEN)}

    def measure(ffn: FFN, x: Tensor) -> None:
        x = x.reshape(*tokens.shape, -1)[:, DENSE_PREFIX:].flatten(0, 1)
        for place, share in enumerate(shares):
            for site, both in ((INPUT, (share, 0.0)), (HIDDEN, (0.0, share))):
                errors[site][ffn.layer, place] = block_error(
                    ffn, x, *both, lambda site, values: values.abs() * weights[site][ffn.layer]
                )

    with watching(layers, x=measure):
        model(tokens, logits_to_keep=1, use_cache=False)
    return errors


def equal_error_threshold(ffn: FFN, a: Tensor, error: float) -> Tensor:
    """Return the threshold on ‖n_i‖ = |a_i|·c_i at which the layer's mean CETT is ``error``."""
    a = a[:: max(1, len(a) // _ROWS)]
    full = ffn.output(a)
    norms = a.abs() * ffn.neuron_norms
    low, high = torch.zeros(()), norms.max()
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        reached = relative_error(full, ffn.output(a * (norms >= middle)))
        low, high = (middle, high) if reached < error else (low, middle)
    return low
