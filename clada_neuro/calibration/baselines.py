"""Thresholds of the baselines, by their own rules, at a grid of sparsities."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.baselines.cats import Cats
from clada_neuro.baselines.threshold import ThresholdTruncation
from clada_neuro.calibration.error import block_error, equal_error_threshold
from clada_neuro.calibration.fit import empty_thresholds, mean_loss, measure, quantile
from clada_neuro.calibration.stages import Piece, Stages
from clada_neuro.models.ffn import FFN
from clada_neuro.runtime.policy import GATE, HIDDEN, INPUT, State, reads
from clada_neuro.runtime.thresholds import ThresholdPolicy

GRID = (0.2, 0.3, 0.4, 0.5)
TT_REACH = 0.3
_ERRORS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7)  # CETT at which TT's thresholds are fitted
_SPLITS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


@dataclass(frozen=True, eq=False)
class FitBlocks(ThresholdPolicy):
    """TEAL's greedy rule: in each block, the split between input and hidden site with the least output error.

    `dropped` receives the chosen shares, ``(layers,)`` for each site; WINA uses them with its scores.
    """

    name = "fit-blocks"
    sites = (INPUT, HIDDEN)

    layers: list[FFN] = field(default_factory=list)
    target: float = 0.4
    dropped: Mapping[str, Tensor] = field(default_factory=dict)

    def select(self, layer: int, site: str, values: Tensor, state: State) -> Tensor:
        """Choose both shares when x arrives, set the thresholds, then apply."""
        seen = values[~state.dense.expand(values.shape[:2])]
        if site == INPUT:
            self._choose(layer, seen)
        self.thresholds[site][layer] = quantile(
            self.score(layer, site, seen), float(self.dropped[site][layer])
        )
        return super().select(layer, site, values, state)

    def _choose(self, layer: int, x: Tensor) -> None:
        ffn = self.layers[layer]
        bytes_of = reads(ffn, self.sites)
        part = ffn.hidden_size * bytes_of.row[INPUT] / bytes_of.total
        best = None
        for share in _SPLITS:
            rest = (self.target - part * share) / (1 - part)
            if not 0 <= rest <= 1:
                continue
            error = block_error(ffn, x, share, rest, lambda site, values: self.score(layer, site, values))
            if best is None or error < best[0]:
                best = (error, share, rest)
        assert best is not None
        self.dropped[INPUT][layer], self.dropped[HIDDEN][layer] = best[1], best[2]


@dataclass(frozen=True, eq=False)
class FitShare(ThresholdPolicy):
    """CATS's rule: every layer drops the same share."""

    name = "fit-share"
    sites = (GATE,)

    share: float = 0.5

    def select(self, layer: int, site: str, values: Tensor, state: State) -> Tensor:
        """Set the threshold to the quantile of what arrives, then apply."""
        seen = values[~state.dense.expand(values.shape[:2])]
        self.thresholds[site][layer] = quantile(self.score(layer, site, seen), self.share)
        return super().select(layer, site, values, state)


@dataclass(frozen=True, eq=False)
class FitError(ThresholdPolicy):
    """TT's rule: every layer has the same CETT."""

    name = "fit-error"
    sites = (HIDDEN,)

    layers: list[FFN] = field(default_factory=list)
    error: float = 0.2

    def select(self, layer: int, site: str, values: Tensor, state: State) -> Tensor:
        """Set the threshold at which the mean relative error of the block reaches its limit, then apply."""
        seen = values[~state.dense.expand(values.shape[:2])]
        self.thresholds[site][layer] = equal_error_threshold(self.layers[layer], seen, self.error)
        return super().select(layer, site, values, state)


def fit_baselines(
    model: PreTrainedModel, layers: list[FFN], tokens: Tensor, stages: Stages, tick: Callable[[int], object]
) -> dict[str, Tensor]:
    """Return the tables of `calibration.policies`, one row a sparsity of `GRID`."""
    norms = {
        INPUT: torch.stack([f.input_norms for f in layers]),
        HIDDEN: torch.stack([f.neuron_norms for f in layers]),
    }

    def blocks(kind: str, weights: Mapping[str, Tensor], target: float) -> Piece:
        empty = partial(empty_thresholds, (INPUT, HIDDEN), len(layers), tokens.device)
        fit = FitBlocks(empty(), weights, layers=layers, target=target, dropped=empty())
        recorder = mean_loss(fit, layers)
        measure(model, recorder, tokens)
        tick(tokens.numel())
        table = fit.thresholds if kind == "teal" else fit.dropped
        return {}, {**{f"{kind}_{site}": table[site] for site in table}, f"{kind}_bias": recorder.bias}

    def cats(target: float) -> Piece:
        tick(tokens.numel())
        return {}, {"cats_gate": _fit_cats(model, layers, tokens, target)}

    rows: dict[str, list[Tensor]] = {}
    for target in GRID:
        pieces = [
            stages.run(f"teal-{target}", partial(blocks, "teal", {}, target)),
            stages.run(f"wina-{target}", partial(blocks, "wina", norms, target)),
            stages.run(f"cats-{target}", partial(cats, target)),
        ]
        for name, value in (entry for _, tensors in pieces for entry in tensors.items()):
            rows.setdefault(name, []).append(value)
    tables = {name: torch.stack(values) for name, values in rows.items()}
    return {**tables, "tt_hidden": _fit_tt(model, layers, tokens, norms, stages, tick)}


def _fit_cats(model: PreTrainedModel, layers: list[FFN], tokens: Tensor, target: float) -> Tensor:
    bytes_of = reads(layers[0], Cats.sites)
    share = min(0.999, target / (1 - bytes_of.fixed / bytes_of.total))
    fit = FitShare(empty_thresholds(Cats.sites, len(layers), tokens.device), {}, share=share)
    measure(model, fit, tokens)
    return fit.thresholds[GATE]


def _fit_tt(
    model: PreTrainedModel,
    layers: list[FFN],
    tokens: Tensor,
    norms: dict[str, Tensor],
    stages: Stages,
    tick: Callable[[int], object],
) -> Tensor:
    """Return thresholds ``(len(GRID), layers)``, interpolated between common errors; constant beyond the reach."""

    def fit(error: float) -> Piece:
        thresholds = empty_thresholds(ThresholdTruncation.sites, len(layers), tokens.device)
        rule = FitError(thresholds, {HIDDEN: norms[HIDDEN]}, layers=layers, error=error)
        reached = float(measure(model, rule, tokens).mean())
        tick(tokens.numel())
        return {"ffn_sparsity": reached}, {"thresholds": thresholds[HIDDEN]}

    pieces = [stages.run(f"tt-{error}", partial(fit, error)) for error in _ERRORS]
    points = [0.0, *(header["ffn_sparsity"] for header, _ in pieces)]
    columns = torch.stack(
        [torch.zeros(len(layers)), *(tensors["thresholds"] for _, tensors in pieces)], dim=1
    ).numpy()
    wanted = [min(target, TT_REACH) for target in GRID]
    return torch.tensor(
        np.stack([np.interp(wanted, points, column) for column in columns], axis=1), dtype=torch.float32
    )
