"""How wrong a layer's output is when rows of its maps are dropped, and shares of rows that make it least wrong.

The shares grow as in TEAL's algorithm (Liu et al. 2024, arXiv 2408.14690): from none on, step by step, each time at the site where the layer's
output error is least afterwards, until the layer's bytes that are not read meet the target, which is the same in all layers. Here
the error of several sites is the sum of the squared errors of each alone (the paper measures them together in each step), so that one
dense pass is enough for every target.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clada_neuro.models.ffn import FFN
from clada_neuro.models.watching import watching
from clada_neuro.passes.fitting import Passes
from clada_neuro.passes.measure import DENSE_PREFIX, quantile
from clada_neuro.runtime.policy import (
    ALL,
    ATTENTION,
    HIDDEN,
    INPUT,
    OUT,
    QKV,
    SITES,
    attention_reads,
    reads,
    rows,
)
from clada_neuro.runtime.thresholds import score

_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_STEP = 0.005  # of a layer's bytes
_TOKENS = 512  # that decide a block's error

Masked = Callable[[Tensor], Tensor]


def layer_shares(
    passes: Passes, name: str, weights: Mapping[str, Tensor], sparsity: float
) -> dict[str, Tensor]:
    """Return the share of rows to drop at every site of a layer, ``(layers,)``, rows scored by |value| · weight."""
    _, errors = passes.piece(f"{name}-layer-errors", lambda: ({}, layer_errors(passes, weights)))
    chosen = [
        grown({site: errors[site][ffn.layer] for site in SITES[ALL]}, _bytes(ffn), sparsity)
        for ffn in passes.layers
    ]
    device = passes.tokens.device
    return {site: torch.tensor([layer[site] for layer in chosen], device=device) for site in SITES[ALL]}


def grown(errors: Mapping[str, Tensor], size: Mapping[str, int], sparsity: float) -> dict[str, float]:
    """Return a layer's shares of rows to drop, by site.

    Parameters
    ----------
    errors : mapping of site to Tensor
        Squared error when each share of `_SHARES` is dropped there alone.
    size : mapping of site to int
        Weight bytes of the site.
    sparsity : float
        Of all bytes together.
    """
    points = np.array([0.0, *_SHARES, 1.0])
    curves = {
        site: np.maximum.accumulate([0.0, *values.tolist(), 2 * float(values[-1])])
        for site, values in errors.items()
    }
    total, shares = sum(size.values()), dict.fromkeys(errors, 0.0)

    def after(site: str, step: float) -> tuple[float, float]:
        share = min(1.0, shares[site] + step * total / size[site])
        now, then = np.interp([shares[site], share], points, curves[site])
        return then - now, share

    left = sparsity
    while left > 1e-9:
        step = min(_STEP, left)
        able = [site for site in shares if shares[site] + step * total / size[site] <= 1.0]
        best = min(able, key=lambda site: after(site, step)[0])
        shares[best] = after(best, step)[1]
        left -= step
    return shares


def layer_errors(passes: Passes, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return E‖Δ‖² of a layer's output when shares of a site's rows are dropped alone, ``(layers, len(_SHARES))``.

    Layers see what they see in the dense model; the dense prefix is left out.
    """
    table = {site: torch.zeros(len(passes.layers), len(_SHARES)) for site in SITES[ALL]}
    seen: set[int] = set()

    def note(ffn: FFN, site: str, error: Callable[[Masked], Tensor]) -> None:
        for place, share in enumerate(_SHARES):
            masked = partial(_dropped, site=site, layer=ffn.layer, weights=weights, share=share)
            table[site][ffn.layer, place] = float(error(masked).square().sum(-1).mean())

    def block(ffn: FFN, x: Tensor) -> None:
        x = x.reshape(*passes.tokens.shape, -1)[:, DENSE_PREFIX:].flatten(0, 1)
        x = x[:: max(1, len(x) // _TOKENS)]
        a = ffn.hidden(x)
        note(ffn, INPUT, lambda masked: ffn.output(a) - ffn.output(ffn.hidden(masked(x))))
        note(ffn, HIDDEN, lambda masked: ffn.output(a - masked(a)) - ffn.output(torch.zeros_like(a)))

    def gathered(ffn: FFN, mixed: Tensor) -> None:
        if ffn.layer in seen:  # attention is run again
            return
        seen.add(ffn.layer)
        mixed = mixed[:, DENSE_PREFIX:].flatten(0, 1)
        weight = ffn.attention.out_weight
        note(ffn, OUT, lambda masked: (mixed - masked(mixed)) @ weight.t())

    def attention(ffn: FFN, again: Callable[[Masked], Tensor], output: Tensor) -> None:
        note(ffn, QKV, lambda masked: (output - again(masked))[:, DENSE_PREFIX:].flatten(0, 1))

    with torch.no_grad(), watching(passes.layers, x=block, out=gathered), _rerun(passes.layers, attention):
        passes.model(passes.tokens, logits_to_keep=1, use_cache=False)
    passes.tick(passes.tokens.numel())
    return table


def _dropped(values: Tensor, site: str, layer: int, weights: Mapping[str, Tensor], share: float) -> Tensor:
    """Return values with the lowest-scored share of rows of all tokens set to zero."""
    scores = score(values, weights, layer, site)
    return values * (scores >= quantile(scores, share))


def _bytes(ffn: FFN) -> dict[str, int]:
    row = {**reads(ffn, SITES["ffn"]).row, **attention_reads(ffn.attention, ATTENTION).row}
    return {site: row[site] * rows(ffn, site) for site in SITES[ALL]}


@contextmanager
def _rerun(
    layers: list[FFN], see: Callable[[FFN, Callable[[Masked], Tensor], Tensor], None]
) -> Iterator[None]:
    """Call ``see`` with each layer's attention as a function of what its x becomes after the dense prefix, and its output."""

    def hook(ffn: FFN) -> Callable[..., None]:
        maps = ffn.attention

        def after(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            def again(masked: Masked) -> Tensor:
                def mask(part: nn.Module, read: tuple[Any, ...]) -> tuple[Any, ...]:
                    x = read[0]
                    later = masked(x[:, DENSE_PREFIX:].flatten(0, 1)).view_as(x[:, DENSE_PREFIX:])
                    return (torch.cat([x[:, :DENSE_PREFIX], later], dim=1), *read[1:])

                with ExitStack() as hooks:
                    for part in maps.qkv:
                        hooks.callback(part.register_forward_pre_hook(mask).remove)
                    return _first(module.forward(*args, **kwargs))

            see(ffn, again, _first(output))

        return after

    with ExitStack() as handles:
        for ffn in layers:
            handle = ffn.attention.module.register_forward_hook(hook(ffn), with_kwargs=True)
            handles.callback(handle.remove)
        yield


def _first(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output
