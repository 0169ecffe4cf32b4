"""The mechanisms that were tried in place of a linear load and a prefix term, each with its controls."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from _shared.marginal_loss import (
    LEAST,
    budget,
    fit_log_link,
    known_before,
    own_effect,
    predict,
    shuffled,
    signs,
)
from _shared.mechanism_policies import NEXT, OWN, REST, SITES, gather, most_active, planned
from _shared.mechanism_texts import BATCH, PREFIX, Texts
from _shared.token_costs import Costs
from clada_neuro.models.ffn import FFN
from clada_neuro.policies.artifact import Calibration
from clada_neuro.policies.clada import base_policy
from clada_neuro.runtime.cognitive_load import LoadSignal
from clada_neuro.runtime.policy import INPUT
from clada_neuro.runtime.thresholds import ThresholdPolicy

GROUPS = 3  # of neighbouring layers: early, middle, late
MOVED = 0.15  # of log thresholds, to measure what a token's own budget does
BASE, SHIPS = "no-load", "load"
RANDOM, REVERSED, FOREIGN, ORACLE = "random", "reversed", "foreign", "oracle"
GENERAL, FLAT, SWAPPED = "general", "flat", "swapped"
Plan = dict[str, Any]


@dataclass(frozen=True)
class Idea:
    """Something to try.

    Attributes
    ----------
    words : str
        For the table.
    settings : tuple of float
        Of which calibration texts choose one; a single one is taken as it is.
    controls : tuple of str
        What stands in for the mechanism, at the same setting.
    bound : str
        A variant that looks at what cannot be known; empty for none.
    """

    words: str
    settings: tuple[float, ...]
    controls: tuple[str, ...] = (RANDOM, REVERSED)
    bound: str = ""

    def names(self, name: str) -> list[str]:
        """Return the idea's own name and those of its variants."""
        variants = [*self.controls, *([self.bound] if self.bound else [])]
        return [name, *(f"{name}-{variant}" for variant in variants)]


IDEAS = {
    "hindsight": Idea("*bound*: budget by the token's true divergence", (0.1, 0.2), ()),
    "mean": Idea("compensation from the prefix", (1.0,), (FOREIGN,), ORACLE),
    "thresholds": Idea("thresholds by layer and site from the prefix", (1.0,), (FOREIGN,), ORACLE),
    "load": Idea("budget by surprisal, linear (ships)", (0.05,)),
    "predicted": Idea("budget by predicted marginal loss", (0.1,)),
    "static": Idea("neurons dropped by the prefix", (0.1,), (FOREIGN, GENERAL)),
    "steep": Idea("load where the marginal loss is steep", (0.1,), (RANDOM, REVERSED, FLAT)),
    "sites": Idea("entropy at inputs, surprisal at neurons", (0.05,), (RANDOM, REVERSED, SWAPPED)),
    "layered": Idea("budget by predicted marginal loss, by layer group", (0.1,)),
}


def in_order() -> list[str]:
    """Return the names of all ideas and variants: bounds first, which say how much there is to win."""
    names = [(idea, name) for idea, own in IDEAS.items() for name in own.names(idea)]
    return [name for _, name in sorted(names, key=lambda pair: not _is_bound(*pair))]


def _is_bound(idea: str, name: str) -> bool:
    own = IDEAS[idea]
    return name == f"{idea}-{own.bound}" or not own.controls


class Mechanisms:
    """Every policy by name, at one sparsity; what they need is fitted on calibration texts.

    Parameters
    ----------
    layers : list of FFN
    calibration : Calibration
    target : float
        The `ffn_sparsity`.
    texts : Texts
        Those of calibration.
    """

    def __init__(self, layers: list[FFN], calibration: Calibration, target: float, texts: Texts) -> None:
        self.layers, self.calibration, self.target, self.texts = layers, calibration, target, texts
        self.signal = LoadSignal(**calibration.header["load"]["signal"])

    def base(self, step: float = 0.0) -> ThresholdPolicy:
        """Return CLADA without load."""
        return base_policy(self.calibration, self.target + step)

    def base_costs(self, texts: Texts) -> Costs:
        """Return what that costs, and what is known before each token."""
        return texts.costs(self.label(BASE), lambda row: self.base(), signals=True)

    def label(self, name: str, setting: float = 0.0) -> str:
        """Name the cells of a policy."""
        return f"{name}-{setting:g}-{self.target:g}"

    def policies(
        self, name: str, setting: float, offset: float, texts: Texts
    ) -> Callable[[int], ThresholdPolicy]:
        """Return a mechanism or a control of it for each batch of texts.

        Parameters
        ----------
        name : str
            An idea's, with ``-CONTROL``.
        setting : float
        offset : float
            Of log thresholds, that brings the mean sparsity to the target.
        texts : Texts
        """
        idea, _, variant = name.partition("-")
        spared = setting * self._spared if idea == "static" else 0.0

        def policy(row: int) -> ThresholdPolicy:
            rows = slice(row * BATCH, (row + 1) * BATCH)
            if idea in _FROM_PREFIX:
                plan = _FROM_PREFIX[idea](self, setting, variant, self.gathered(texts), rows)
            else:
                costs = texts.batch(self.label(BASE), row)
                shift = _BY_TOKEN[idea](self, setting, costs, variant)
                shift = shuffled(shift, row) if variant == RANDOM else shift
                plan = {"shift": -shift if variant == REVERSED else shift}
            return planned(self.base(-spared), offset, **plan)

        return policy

    @cached_property
    def groups(self) -> Tensor:
        """The group of each layer ``(layers,)``."""
        return torch.arange(len(self.layers)) * GROUPS // len(self.layers)

    @cached_property
    def worth(self) -> Tensor:
        """Weights ``(groups, 7)`` of the log of what a token's own budget does in each group of layers."""
        costs = self.base_costs(self.texts)
        texts, tokens = costs["divergence"].shape
        sign = signs(texts, tokens, GROUPS, seed=1)
        up, down = (self._moved(sign * way, f"moved{way:+.0f}") for way in (1.0, -1.0))
        effect = own_effect(up["divergence"], down["divergence"], sign).flatten(0, 1)
        x = known_before(costs, PREFIX).flatten(0, 1)
        return torch.stack([fit_log_link(x, effect[:, group]) for group in range(GROUPS)])

    def _moved(self, sign: Tensor, label: str) -> Costs:
        rows = sign.split(BATCH)

        def policy(row: int) -> ThresholdPolicy:
            return planned(self.base(), shift=self.spread(MOVED * rows[row]))

        return self.texts.costs(self.label(label), policy)

    def spread(self, by_group: Tensor) -> Tensor:
        """Give each layer and site its group's value, ``(texts, n, groups) → (texts, n, layers, 2)``."""
        return by_group[..., self.groups, None].expand(*by_group.shape[:2], len(self.groups), len(SITES))

    def log_worth(self, costs: Costs) -> Tensor:
        """Return the predicted log effect of each token's budget by group ``(texts, n, groups)``."""
        x = known_before(costs, PREFIX)
        return torch.stack([predict(x, w) for w in self.worth], dim=-1)

    @cached_property
    def centre(self) -> Tensor:
        """Mean log effect by group on calibration texts ``(groups,)``."""
        return self.log_worth(self.base_costs(self.texts)).mean((0, 1))

    @cached_property
    def steepness(self) -> Tensor:
        """Covariance of each group's predicted effect with load, ``(groups,)``."""
        costs = self.base_costs(self.texts)
        effect, load = self.log_worth(costs).exp(), self.load(costs)[..., None]
        return ((effect - effect.mean((0, 1))) * (load - load.mean())).mean((0, 1))

    def load(self, costs: Costs) -> Tensor:
        """Return λ of each token ``(texts, n)``."""
        return self.signal(costs["surprisal"], costs["entropy"])

    @cached_property
    def shares(self) -> dict[str, Tensor]:
        """Shares of rows that thresholds leave out ``(layers,)``."""
        return {site: torch.tensor(self.calibration.header["shares_dropped"][site]) for site in SITES}

    @cached_property
    def _spared(self) -> float:
        """Share of bytes that no neuron at all would leave of gate and up: what input rows are kept, of two thirds."""
        return float(1 - self.shares[INPUT].mean()) * 2 / 3

    def gathered(self, texts: Texts) -> Costs:
        """Return what prefixes and rests of texts lose, their log quantiles and activity, text by text."""

        def note(tokens: Tensor) -> Costs:
            return gather(texts.model.model, self.base(), self.layers, self.shares, tokens, PREFIX)

        return texts.noted(self.label("gathered"), note)

    def population(self, name: str) -> Tensor:
        """Return the mean over calibration texts."""
        return self.gathered(self.texts)[name].mean(0)

    def slope(self, name: str) -> Tensor:
        """Return by layer how much of a prefix's deviation the rest of a calibration text shows ``(layers,)``."""
        found = self.gathered(self.texts)
        return shrinkage(found[f"{name}-{OWN}"], found[f"{name}-{REST}"])


def persistence(found: Costs) -> dict[str, tuple[float, float]]:
    """Return what of a text is its own after the prefix, mean over layers: its size, and which share of it the prefix foretells.

    Size is the spread between texts of log quantiles, and that of the mean loss over the norm of its mean; the share is `shrinkage`.
    """
    rows = {}
    for name in ("lost", *SITES):
        rest = found[f"{name}-{REST}"]
        away = rest - rest.mean(0)
        size = away.std(0) if rest.dim() == 2 else away.norm(dim=-1).mean(0) / rest.mean(0).norm(dim=-1)
        rows[name] = (float(size.mean()), float(shrinkage(found[f"{name}-{OWN}"], rest).mean()))
    return rows


def shrinkage(before: Tensor, after: Tensor) -> Tensor:
    """Return the least-squares slope of what follows on what came before, both ``(texts, layers[, width])``, within 0 and 1."""
    x, y = (part.reshape(*part.shape[:2], -1) for part in (before, after))
    x, y = x - x.mean(0), y - y.mean(0)
    return ((x * y).sum((0, 2)) / x.square().sum((0, 2)).clamp_min(1e-30)).clamp(0, 1)


def _deviation(self: Mechanisms, name: str, variant: str, found: Costs) -> Tensor:
    """Return by how much texts differ from the calibration's, shrunk; of the oracle what follows, as it is."""
    part = REST if variant == ORACLE else OWN
    own = found[f"{name}-{part}"] - self.population(f"{name}-{part}")
    if variant == ORACLE:
        return own
    slope = self.slope(name)
    shrunk = own * slope.view(-1, *[1] * (own.dim() - 2))
    return shrunk.roll(NEXT, 0) if variant == FOREIGN else shrunk


def _mean(self: Mechanisms, setting: float, variant: str, found: Costs, rows: slice) -> Plan:
    return {"bias": setting * _deviation(self, "lost", variant, found)[rows]}


def _thresholds(self: Mechanisms, setting: float, variant: str, found: Costs, rows: slice) -> Plan:
    by_site = torch.stack([_deviation(self, site, variant, found) for site in SITES], dim=-1)
    return {"shift": setting * by_site[rows, None]}


def _static(self: Mechanisms, setting: float, variant: str, found: Costs, rows: slice) -> Plan:
    activity = found["activity"]
    if variant == GENERAL:
        activity = self.population("activity").expand_as(activity)
    return {"alive": most_active(activity.roll(NEXT, 0) if variant == FOREIGN else activity, setting)[rows]}


_FROM_PREFIX = {"mean": _mean, "thresholds": _thresholds, "static": _static}


def _everywhere(self: Mechanisms, by_token: Tensor) -> Tensor:
    return self.spread(by_token[..., None].expand(*by_token.shape, GROUPS))


def _load(self: Mechanisms, setting: float, costs: Costs, variant: str) -> Tensor:
    return _everywhere(self, -setting * self.load(costs))


def _hindsight(self: Mechanisms, setting: float, costs: Costs, variant: str) -> Tensor:
    own, general = (
        found["divergence"].clamp_min(LEAST).log() for found in (costs, self.base_costs(self.texts))
    )
    return _everywhere(self, budget(own, setting, general.mean()))


def _predicted(self: Mechanisms, setting: float, costs: Costs, variant: str) -> Tensor:
    together = self.log_worth(costs).logsumexp(-1)
    return _everywhere(self, budget(together, setting, self.centre.logsumexp(0)))


def _layered(self: Mechanisms, setting: float, costs: Costs, variant: str) -> Tensor:
    return self.spread(budget(self.log_worth(costs), setting, self.centre))


def _steep(self: Mechanisms, setting: float, costs: Costs, variant: str) -> Tensor:
    place = int(self.steepness.argmin() if variant == FLAT else self.steepness.argmax())
    by_group = torch.zeros(*costs["surprisal"].shape, GROUPS)
    by_group[..., place] = -setting * self.load(costs)
    return self.spread(by_group)


def _sites(self: Mechanisms, setting: float, costs: Costs, variant: str) -> Tensor:
    signal = self.signal
    surprisal = (costs["surprisal"] - signal.surprisal_mean) / signal.surprisal_sd
    entropy = (costs["entropy"] - signal.entropy_mean) / signal.entropy_sd
    order = (surprisal, entropy) if variant == SWAPPED else (entropy, surprisal)
    both = -setting * torch.stack(order, dim=-1)
    return both[:, :, None].expand(*both.shape[:2], len(self.layers), len(SITES))


_BY_TOKEN: dict[str, Callable[[Mechanisms, float, Costs, str], Tensor]] = {
    "load": _load,
    "hindsight": _hindsight,
    "predicted": _predicted,
    "layered": _layered,
    "steep": _steep,
    "sites": _sites,
}
