"""WINA, weight-informed neuron activation (Chen et al. 2025, arXiv 2505.19427).

Elements are scored by magnitude times the norm of the weight column they meet, |x_j|·‖W[:, j]‖₂, and the K highest of
each token are kept. Here gate and up share one mask of x, scored with the norm of [W_g; W_u], and queries, keys and values likewise; in
scope ``ffn`` attention, which the paper also sparsifies, stays dense. Shares are set as TEAL's, with these scores.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import Tensor

from clada_neuro.passes.fitting import Passes
from clada_neuro.passes.layer_error import layer_shares
from clada_neuro.passes.passage import Passage
from clada_neuro.passes.pieces import Piece
from clada_neuro.policies.declaration import Declaration, PolicyRequest, Timed
from clada_neuro.policies.teal import fit_blocks
from clada_neuro.runtime.policy import ALL, ATTENTION, HIDDEN, INPUT, SCOPES, Policy, State, highest
from clada_neuro.runtime.thresholds import Compensation, ThresholdPolicy


@dataclass(frozen=True, eq=False)
class Wina(Policy):
    """Keep the top rows of each token.

    Attributes
    ----------
    dropped : mapping of site to Tensor
        Share of rows dropped, ``(layers,)``.
    weights : mapping of site to Tensor
        Norms of the weight columns, ``(layers, rows)``.
    mean_of_dropped : Compensation or None
        Not in the paper: CLADA's compensation, for comparison.
    """

    name: ClassVar[str] = "wina"
    sites: ClassVar[tuple[str, ...]] = (INPUT, HIDDEN)

    dropped: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    mean_of_dropped: Compensation | None = None

    @property
    def attention_sites(self) -> tuple[str, ...]:
        """Those of attention whose shares are given."""
        return tuple(site for site in ATTENTION if site in self.dropped)

    def select(self, layer: int, site: str, values: Tensor, state: State) -> Tensor:
        """Return the K rows of highest score of each token."""
        score = values.abs().float() * self.weights[site][layer]
        return highest(score, float(self.dropped[site][layer]))

    def compensation(self, layer: int, state: State) -> Tensor | None:
        """Return the calibrated mean of what is dropped, if asked for."""
        return None if self.mean_of_dropped is None else self.mean_of_dropped(layer, state.scale)


@dataclass(frozen=True, eq=False)
class WinaThresholds(ThresholdPolicy):
    """WINA's scores against a threshold: K rows on average instead of K of every token, as kernels need it."""

    name: ClassVar[str] = "wina"
    sites: ClassVar[tuple[str, ...]] = (INPUT, HIDDEN)


def _fit(passes: Passes) -> Piece:
    """Take TEAL's shares, found with WINA's scores."""
    if passes.scope == ALL:
        return {}, passes.at_each_sparsity(
            "wina", lambda sparsity: layer_shares(passes, "wina", passes.norms, sparsity)
        )

    def at(sparsity: float) -> dict[str, Tensor]:
        dropped, found = fit_blocks(passes, passes.norms, sparsity)
        assert found.bias is not None
        return {**dropped, "bias": found.bias}

    return {}, passes.at_each_sparsity("wina", at)


def _make(asked: PolicyRequest, *, compensated: bool) -> Wina:
    mean = asked.mean_of_dropped("wina") if compensated else None
    return Wina(asked.fitted("wina", *asked.sites), asked.norms, mean)


def _in_kernels(policy: Policy, passage: Passage) -> WinaThresholds:
    """Drop as many rows on the passage."""
    assert isinstance(policy, Wina)
    return WinaThresholds(passage.thresholds(policy.dropped, policy.weights), policy.weights)


DECLARED = [
    Declaration(
        "wina",
        80,
        partial(_make, compensated=False),
        _fit,
        compared=True,
        timed=Timed(lambda passage: _in_kernels(Wina(passage.dropped, passage.norms), passage), _in_kernels),
        scopes=SCOPES,
    ),
    Declaration("wina-compensated", 101, partial(_make, compensated=True)),
]
