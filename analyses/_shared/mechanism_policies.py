"""CLADA without load, whose thresholds, compensation and neurons follow a plan made beforehand, text by text; and what plans are made from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from clada_neuro.models.ffn import FFN
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.policy import HIDDEN, INPUT, Reads, State, padded
from clada_neuro.runtime.thresholds import ThresholdPolicy

SITES = (INPUT, HIDDEN)
OWN, REST = "own", "rest"  # parts of a text: its prefix without the start token, and what follows
NEXT = 2  # a foreign prefix is that of the next text but one: C4 and WikiText alternate, and it is of the same kind


@dataclass(frozen=True, eq=False)
class Planned(ThresholdPolicy):
    """A plan for each of the texts of a batch, which are told apart by their seeds.

    Attributes
    ----------
    shift : Tensor or None
        Added to log thresholds, inputs first ``(texts, n or 1, layers, 2)``.
    bias : Tensor or None
        Added to the calibrated mean of what is dropped ``(texts, layers, hidden)``.
    alive : Tensor or None
        Neurons that are tested; the others are left out, their columns of gate and up, too ``(texts or 1, layers, intermediate)``.
    """

    name: ClassVar[str] = "planned"
    sites: ClassVar[tuple[str, ...]] = SITES
    shift: Tensor | None = None
    bias: Tensor | None = None
    alive: Tensor | None = None

    def threshold(self, layer: int, site: str, state: State) -> Tensor:
        """Return τ·s·exp(shift)."""
        threshold = super().threshold(layer, site, state)
        if self.shift is None:
            return threshold
        return threshold * self.shift[state.seeds, :, layer, SITES.index(site), None].exp()

    def select(self, layer: int, site: str, values: Tensor, state: State) -> Tensor:
        """Return score ≥ threshold, of living neurons alone."""
        mask = super().select(layer, site, values, state)
        if site != HIDDEN or self.alive is None:
            return mask
        return mask & self.alive.expand(len(values), -1, -1)[:, None, layer]

    def compensation(self, layer: int, state: State) -> Tensor | None:
        """Return the mean of what is dropped at the mean scale of both sites, and what the plan adds."""
        scale = state.scale
        if self.shift is not None:
            scale = scale * self.shift[state.seeds, :, layer].mean(-1).exp()
        general = None if self.mean_of_dropped is None else self.mean_of_dropped(layer, scale)
        if general is None or self.bias is None:
            return general
        return general + self.bias[state.seeds, None, layer]

    def reads(self, ffn: FFN) -> Reads:
        """Return bytes of which a row of inputs has no more columns than neurons live."""
        whole = super().reads(ffn)
        if self.alive is None:
            return whole
        left = float(self.alive[:, ffn.layer].float().mean())
        return replace(whole, row={**whole.row, INPUT: padded(whole.row[INPUT] * left)})


def planned(policy: ThresholdPolicy, offset: float = 0.0, **plan: Any) -> Planned:
    """Return the same thresholds under a plan, their scale times exp(offset)."""
    same = {part.name: getattr(policy, part.name) for part in fields(ThresholdPolicy)}
    return Planned(**(same | plan | {"base_scale": policy.base_scale * math.exp(offset)}))


@dataclass(frozen=True, eq=False)
class Gather(ThresholdPolicy):
    """CLADA without load that notes, text by text, what prefix and rest lose, their quantiles and the prefix's activity.

    Attributes
    ----------
    layers : list of FFN
    shares : mapping of site to Tensor
        At which share of rows quantiles are taken ``(layers,)``.
    found : dict of str to list of Tensor
        Filled during a pass, one entry a layer: ``lost-PART (texts, hidden)``, ``SITE-PART (texts,)`` and
        ``activity (texts, intermediate)``.
    """

    name: ClassVar[str] = "gather"
    sites: ClassVar[tuple[str, ...]] = SITES
    layers: list[FFN] = field(default_factory=list)
    shares: Mapping[str, Tensor] = field(default_factory=dict)
    found: dict[str, list[Tensor]] = field(default_factory=dict)

    def select(self, layer: int, site: str, values: Tensor, state: State) -> Tensor:
        """Note, then decide as ever."""
        scores = self.score(layer, site, values)
        prefix = int(state.dense[0].sum())
        for part, place in ((OWN, slice(1, prefix)), (REST, slice(prefix, None))):
            share = float(self.shares[site][layer])
            self._note(f"{site}-{part}", log_quantile(scores[:, place], share))
            if site == INPUT:
                self._note(f"lost-{part}", loss_of(self, self.layers[layer], values[:, place]))
        if site == HIDDEN:
            self._note("activity", scores[:, 1:prefix].square().mean(1).sqrt())
        return scores >= self.threshold(layer, site, state)

    def _note(self, name: str, value: Tensor) -> None:
        self.found.setdefault(name, []).append(value)


@torch.no_grad()
def gather(
    model,
    policy: ThresholdPolicy,
    layers: list[FFN],
    shares: Mapping[str, Tensor],
    tokens: Tensor,
    prefix: int,
) -> dict[str, Tensor]:
    """Return what `Gather` notes of texts ``(texts, length)``, each ``(texts, layers, …)``."""
    same = {part.name: getattr(policy, part.name) for part in fields(ThresholdPolicy)}
    noting = Gather(**same, layers=layers, shares=shares)
    with attach(model, noting) as session:
        session.begin(len(tokens))
        scale = torch.full(tokens.shape, policy.base_scale)
        scale[:, :prefix] = 0
        session.plan(scale, scale == 0)
        model(tokens, logits_to_keep=1, use_cache=False)
    return {name: torch.stack(parts, dim=1) for name, parts in noting.found.items()}


def loss_of(policy: ThresholdPolicy, ffn: FFN, x: Tensor) -> Tensor:
    """Return the mean of what a block loses on inputs ``(texts, seq, hidden)`` under the policy's own thresholds, ``(texts, hidden)``."""
    layer, scale = ffn.layer, policy.base_scale
    kept_x = x * (policy.score(layer, INPUT, x) >= policy.thresholds[INPUT][layer] * scale)
    a = ffn.hidden(kept_x)
    kept_a = a * (policy.score(layer, HIDDEN, a) >= policy.thresholds[HIDDEN][layer] * scale)
    return ffn.output(ffn.hidden(x).mean(1)) - ffn.output(kept_a.mean(1))


def log_quantile(scores: Tensor, share: float) -> Tensor:
    """Return the log of the quantile of each text's scores ``(texts, seq, rows)``, ``(texts,)``."""
    flat = scores.flatten(1)
    place = min(flat.shape[1], int(share * flat.shape[1]) + 1)
    return flat.kthvalue(place, dim=1).values.clamp_min(1e-9).log()


def most_active(activity: Tensor, dropped: float) -> Tensor:
    """Return which neurons are not among the share of least activity ``(…, intermediate)``."""
    count = round(dropped * activity.shape[-1])
    if count == 0:
        return torch.ones_like(activity, dtype=torch.bool)
    return activity > activity.kthvalue(count, dim=-1, keepdim=True).values
