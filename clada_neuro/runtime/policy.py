"""The rule that decides what a layer computes, apart from the state of the sequences it decides for.

A policy is immutable and may serve any number of sequences. What changes from token to token, the statistics of the
prefix, the cognitive load and the threshold scale, is a `State` that belongs to a batch of sequences.

Sites (where a mask can act) and what a kept row of each is, in memory:

Those of the feed-forward block, and, where a policy's scope is ``all``, two of attention:

========== ================================== =========================================
site       mask over                          one contiguous row
========== ================================== =========================================
``input``  elements of x                      input j of [W_g; W_u] (plain: of W_1)
``hidden`` neurons, decided from a            neuron i of W_d
``gate``   neurons, decided from g            neuron i of W_u and of W_d; W_g is read whole
``up``     neurons, decided from u            neuron i of W_g and of W_d; W_u is read whole
``neuron`` neurons, known before the block    neuron i of all matrices
``qkv``    elements of attention's x          input j of [W_q; W_k; W_v]
``out``    elements of what heads gathered    input j of W_o
========== ================================== =========================================
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from clada_neuro.models.attention_maps import AttentionMaps
from clada_neuro.models.ffn import FFN
from clada_neuro.models.ggml import widths
from clada_neuro.runtime.cognitive_load import LoadHistory
from clada_neuro.runtime.prefix import Prefix

INPUT, HIDDEN, GATE, UP, NEURON = "input", "hidden", "gate", "up", "neuron"
QKV, OUT = ATTENTION = "qkv", "out"
FFN_ONLY, ALL = SCOPES = "ffn", "all"
SITES = {FFN_ONLY: (INPUT, HIDDEN), ALL: (INPUT, HIDDEN, QKV, OUT)}  # of policies that decide by token
SHARE = {FFN_ONLY: "ffn_sparsity", ALL: "linear_sparsity"}  # what a scope's share of unread bytes is called
CACHE_LINE = 64


@dataclass
class State:
    """What a policy knows about a batch of sequences when the next tokens are processed.

    Attributes
    ----------
    prefix : Prefix
        Statistics of the tokens computed densely so far.
    scale : Tensor
        Threshold scale of the coming tokens, ``(batch, seq)`` or broadcastable to it; 0 means computed densely.
    seeds : Tensor
        One integer a sequence, ``(batch,)``, so that random controls do not depend on the batch.
    step : Tensor
        Tokens observed so far, ``(batch,)``.
    history : LoadHistory
    load, action : Tensor or None
        Of the coming token, ``(batch,)``: cognitive load, and whether the policy answers it by computing the token
        densely.
    """

    prefix: Prefix
    scale: Tensor
    seeds: Tensor
    step: Tensor
    history: LoadHistory
    load: Tensor | None = None
    action: Tensor | None = None

    @property
    def event(self) -> Tensor | None:
        """Whether the coming token's load passed its rolling percentile, ``(batch,)``; found when asked for."""
        return self.history.event()

    @property
    def dense(self) -> Tensor:
        """Which of the coming tokens are computed densely."""
        return self.scale == 0

    def reorder(self, index: Tensor) -> None:
        """Keep the sequences of ``index``, in that order."""
        self.prefix.reorder(index)
        self.history.reorder(index)
        for name in ("scale", "seeds", "step", "load", "action"):
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, value[index])


@dataclass(frozen=True, eq=False)
class Policy(ABC):
    """A rule of selection.

    Attributes
    ----------
    name : str
        As on the command line.
    sites : tuple of str
        Where it masks in feed-forward blocks.
    base_scale : float
        Threshold scale of every token, before load moves it.
    """

    name: ClassVar[str]
    sites: ClassVar[tuple[str, ...]]
    base_scale = 1.0

    @property
    def attention_sites(self) -> tuple[str, ...]:
        """Where it masks in attention."""
        return ()

    @property
    def scope(self) -> str:
        """``all`` for a policy that leaves out rows of attention, too, else ``ffn``: what its sparsity is a share of."""
        return ALL if self.attention_sites else FFN_ONLY

    @property
    def uses_prefix(self) -> bool:
        """Whether `select` reads statistics of densely computed tokens."""
        return False

    @property
    def sequential(self) -> bool:
        """Whether masks depend on the policy's own predictions, so that a text cannot be processed in one pass."""
        return False

    def init(self, prefix: Prefix, seeds: Tensor | None = None) -> State:
        """Return the state of fresh sequences, before any token."""
        batch, device = prefix.batch, prefix.device
        zeros = torch.zeros(batch, dtype=torch.long, device=device)
        return State(
            prefix=prefix,
            scale=torch.zeros(batch, 1, device=device),
            seeds=zeros if seeds is None else seeds.to(device),
            step=zeros.clone(),
            history=LoadHistory(),
        )

    @abstractmethod
    def select(self, layer: int, site: str, values: Tensor, state: State) -> Tensor:
        """Return which rows are computed, True = computed.

        Parameters
        ----------
        values : Tensor
            What the site sees, ``(batch, seq, rows)``: x at ``input``, g at ``gate``, u at ``up``, a at ``hidden`` and ``neuron``
            (there only its shape counts: the mask may not depend on it), what the map reads at ``qkv`` and ``out``.
        """

    def masked(self, layer: int, site: str, values: Tensor, mask: Tensor) -> Tensor:
        """Return what the block sees in place of ``values (batch, seq, rows)``: kept rows as they are, and zeros.

        A rule overrides this whose dropped rows are not zero (a mode, a projection) or whose rows are those of another
        basis; kernels do not follow it then.
        """
        return values * mask

    def reads(self, ffn: FFN) -> "Reads":
        """Return the weight bytes that a block reads; a rule that reads more than kept rows adds to what is fixed."""
        return reads(ffn, self.sites)

    def compensation(self, layer: int, state: State) -> Tensor | None:
        """Return what stands in for the block's dropped rows, broadcastable to ``(batch, seq, hidden)``."""
        return None

    def attention_compensation(self, layer: int, site: str, state: State) -> Tensor | None:
        """Return what stands in for rows dropped at a site of attention, broadcastable to what its maps give."""
        return None

    def observe(self, state: State, logits: Tensor, token: Tensor) -> None:
        """Take in the drawn ``token (batch,)`` and the temperature-1 ``logits (batch, vocabulary)`` it came from."""
        state.step = state.step + 1
        state.scale = torch.full_like(state.scale[:, :1], self.base_scale)

    def reorder(self, state: State, index: Tensor) -> None:
        """Keep the sequences of ``index``, in that order."""
        state.reorder(index)


@dataclass(frozen=True)
class Reads:
    """Weight bytes of one block, or of one layer's attention: all of them, those no mask can spare, and those of one kept row of each site.

    Rows are padded to cache lines, as kernels store them, so bytes count at cache-line granularity. The scales that rows
    of a quantised block share are fixed.
    """

    total: int
    fixed: int
    row: dict[str, int]

    def read(self, kept: dict[str, Tensor]) -> Tensor:
        """Return the bytes read, from the number of rows kept at each site."""
        read = torch.as_tensor(self.fixed)
        for site, size in self.row.items():
            read = read + kept[site] * size
        return read

    def sparsity(self, kept: dict[str, Tensor]) -> Tensor:
        """Return the share of bytes not read, from the number of rows kept at each site."""
        return 1 - self.read(kept) / self.total

    def __add__(self, other: "Reads") -> "Reads":
        """Return the bytes of both, whose sites differ."""
        return Reads(self.total + other.total, self.fixed + other.fixed, {**self.row, **other.row})


def reads(ffn: FFN, sites: tuple[str, ...]) -> Reads:
    """Return the weight bytes of a block under a policy that masks at ``sites``."""
    size, shared = widths(ffn.down)
    hidden, neurons = ffn.hidden_size, ffn.intermediate_size
    matrices = 3 if ffn.gated else 2
    by_neuron = padded(hidden * size)
    by_input = padded((matrices - 1) * neurons * size)
    row = {
        INPUT: by_input,
        HIDDEN: by_neuron,
        GATE: (matrices - 1) * by_neuron,
        UP: (matrices - 1) * by_neuron,
        NEURON: matrices * by_neuron,
    }
    rows = {INPUT: hidden, HIDDEN: neurons, GATE: neurons, UP: neurons, NEURON: neurons}
    first = hidden * by_input if INPUT in sites else (matrices - 1) * neurons * by_neuron
    scales = int(matrices * hidden * neurons * shared)
    total = first + neurons * by_neuron + scales
    used = {site: row[site] for site in sites}
    return Reads(total, total - sum(rows[site] * row[site] for site in sites), used)


def attention_reads(attention: AttentionMaps, sites: tuple[str, ...] = ATTENTION) -> Reads:
    """Return the weight bytes of a layer's attention under a policy that masks at ``sites`` of it."""
    qkv, out = attention.qkv_weight, attention.out_weight
    size, shared = widths(attention.out)
    row = {QKV: padded(qkv.shape[0] * size), OUT: padded(out.shape[0] * size)}
    scales = int((qkv.numel() + out.numel()) * shared)
    of_site = {QKV: attention.hidden_size * row[QKV], OUT: attention.mixed_size * row[OUT]}
    used = {site: row[site] for site in sites}
    spared = sum(of_site[site] for site in sites)
    return Reads(sum(of_site.values()) + scales, sum(of_site.values()) + scales - spared, used)


def rows(ffn: FFN, site: str) -> int:
    """Return over how many rows a site's mask goes."""
    if site in ATTENTION:
        return ffn.attention.hidden_size if site == QKV else ffn.attention.mixed_size
    return ffn.hidden_size if site == INPUT else ffn.intermediate_size


def scope_reads(ffn: FFN, policy: Policy) -> Reads:
    """Return the weight bytes of a layer that a policy's sparsity is a share of: its block's, in scope ``all`` attention's, too."""
    block = policy.reads(ffn)
    return block + attention_reads(ffn.attention, policy.attention_sites) if policy.attention_sites else block


def highest(scores: Tensor, dropped: float) -> Tensor:
    """Return which rows of each token have the highest ``scores (batch, seq, rows)``, but for the share ``dropped``."""
    rows = scores.shape[-1]
    count = rows - round((1 - dropped) * rows)
    if count == 0:
        return torch.ones_like(scores, dtype=torch.bool)
    return scores > scores.kthvalue(count, dim=-1, keepdim=True).values


def padded(size: float) -> int:
    """Return the bytes that a row of ``size`` takes in whole cache lines."""
    return math.ceil(size / CACHE_LINE) * CACHE_LINE
