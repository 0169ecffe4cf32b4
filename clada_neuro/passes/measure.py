"""Set thresholds and compensation layer by layer, with all earlier layers already sparse.

One pass over a calibration batch does it: when a layer is reached, its thresholds are taken from what arrives there,
applied at once, and the mean of what its block then loses is added back before the next layer sees anything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.models.ffn import FFN
from clada_neuro.runtime.attach import attach
from clada_neuro.runtime.policy import ATTENTION, HIDDEN, INPUT, QKV, Policy, Reads, State
from clada_neuro.runtime.thresholds import ThresholdPolicy, score

DENSE_PREFIX = 32  # tokens at the start of every calibration text
_QUANTILE_SAMPLE = 2_000_000
_SMALLEST = 1e-6  # positive threshold that float16 can hold


@dataclass(frozen=True, eq=False)
class MeanLoss(Policy):
    """A policy whose compensation is measured instead of applied: E[FFN(x) − FFN_masked(x)] of every layer.

    What a map of attention loses is measured, too: W·E[dropped].

    Attributes
    ----------
    inner : Policy
        The rule; its own compensation is ignored.
    layers : list of FFN
    bias : Tensor
        Filled during a pass, ``(layers, hidden)``.
    relative_error : Tensor
        Filled during a pass: E‖FFN(x) − FFN_masked(x) − b‖ / ‖FFN(x)‖, ``(layers,)``.
    bias_at : dict of site to Tensor
        Of attention, filled during a pass, ``(layers, outputs)``.
    """

    name: ClassVar[str] = "mean-loss"

    inner: Policy
    layers: list[FFN]
    bias: Tensor
    relative_error: Tensor
    bias_at: dict[str, Tensor] = field(default_factory=dict)
    _seen: dict[str, Tensor] = field(default_factory=dict)

    @property
    def sites(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the rule."""
        return self.inner.sites

    @property
    def attention_sites(self) -> tuple[str, ...]:
        """Those of the rule."""
        return self.inner.attention_sites

    @property
    def base_scale(self) -> float:  # type: ignore[override]
        """That of the rule."""
        return self.inner.base_scale

    @property
    def uses_prefix(self) -> bool:
        """As the rule."""
        return self.inner.uses_prefix

    def select(self, layer: int, site: str, values: Tensor, state: State) -> Tensor:
        """Return the rule's mask and keep what is needed to compare the block with itself."""
        mask = self.inner.select(layer, site, values, state)
        if site in ATTENTION:
            self._measure(layer, site, values, mask, ~state.dense)
        elif site == INPUT:
            self._seen[INPUT] = values
        else:
            self._seen[HIDDEN] = values
            self._seen["kept"] = mask | state.dense[..., None]
        return mask

    def masked(self, layer: int, site: str, values: Tensor, mask: Tensor) -> Tensor:
        """As the rule."""
        return self.inner.masked(layer, site, values, mask)

    def reads(self, ffn: FFN) -> Reads:
        """As the rule."""
        return self.inner.reads(ffn)

    def compensation(self, layer: int, state: State) -> Tensor:
        """Measure and return the mean loss ``(hidden,)``."""
        ffn, sparse = self.layers[layer], ~state.dense
        passed = self.inner.masked(layer, self.sites[-1], self._seen[HIDDEN], self._seen["kept"])
        masked = ffn.output(passed[sparse])
        full = ffn.hidden(self._seen[INPUT][sparse]) if INPUT in self._seen else self._seen[HIDDEN][sparse]
        output = ffn.output(full)
        loss = output - masked
        self.bias[layer] = loss.mean(0)
        remaining = (loss - self.bias[layer]).norm(dim=-1) / output.norm(dim=-1).clamp_min(1e-12)
        self.relative_error[layer] = remaining.mean()
        return self.bias[layer]

    def attention_compensation(self, layer: int, site: str, state: State) -> Tensor:
        """Return what was measured when the site's mask was decided ``(outputs,)``."""
        return self.bias_at[site][layer]

    def _measure(self, layer: int, site: str, values: Tensor, mask: Tensor, sparse: Tensor) -> None:
        lost = (values - self.inner.masked(layer, site, values, mask))[sparse].float().mean(0)
        maps = self.layers[layer].attention
        weight = maps.qkv_weight if site == QKV else maps.out_weight
        self.bias_at[site][layer] = weight.float() @ lost


@dataclass(frozen=True, eq=False)
class FittingPass(Policy):
    """Thresholds found block by block: taken from what arrives there, and applied before the next block sees anything.

    Attributes
    ----------
    sites : tuple of str
    choose : callable
        From layer, site and what the sparse tokens bring there, ``(tokens, rows)``, to the block's threshold.
    weights : mapping of site to Tensor
        Row weights of the scores ``(layers, rows)``.
    thresholds : dict of site to Tensor
        Filled during a pass, ``(layers,)``.
    like : ThresholdPolicy or None
        A rule that scores rows and treats dropped ones in its own way.
    attention : tuple of str
        Sites of attention.
    """

    name: ClassVar[str] = "fitting"

    sites: tuple[str, ...]  # type: ignore[misc]
    choose: Callable[[int, str, Tensor], Tensor]
    weights: Mapping[str, Tensor]
    thresholds: dict[str, Tensor]
    like: ThresholdPolicy | None = None
    attention: tuple[str, ...] = ()

    @property
    def attention_sites(self) -> tuple[str, ...]:
        """Those of attention whose thresholds are looked for."""
        return self.attention

    def select(self, layer: int, site: str, values: Tensor, state: State) -> Tensor:
        """Note the threshold, then return score ≥ threshold."""
        seen = values[~state.dense.expand(values.shape[:2])]
        self.thresholds[site][layer] = self.choose(layer, site, seen)
        threshold = self.thresholds[site][layer] * state.scale[..., None]
        if self.like is not None:
            return self.like.score(layer, site, values) >= threshold
        return score(values, self.weights, layer, site) >= threshold

    def masked(self, layer: int, site: str, values: Tensor, mask: Tensor) -> Tensor:
        """As the rule, if there is one."""
        if self.like is not None:
            return self.like.masked(layer, site, values, mask)
        return super().masked(layer, site, values, mask)

    def reads(self, ffn: FFN) -> Reads:
        """As the rule, if there is one."""
        return super().reads(ffn) if self.like is None else self.like.reads(ffn)


@dataclass(frozen=True)
class FittedPass:
    """What one pass found.

    Attributes
    ----------
    thresholds : dict of site to Tensor
        ``(layers,)``.
    sparsity : float
        Mean over layers and tokens, of the scope that the sites are.
    bias : Tensor or None
        Mean of what every block lost, ``(layers, hidden)``, where the pass was compensated for it.
    """

    thresholds: dict[str, Tensor]
    sparsity: float
    bias: Tensor | None


def fit_thresholds(
    model: PreTrainedModel,
    layers: list[FFN],
    tokens: Tensor,
    sites: tuple[str, ...],
    choose: Callable[[int, str, Tensor], Tensor],
    weights: Mapping[str, Tensor],
    *,
    compensated: bool = False,
    like: ThresholdPolicy | None = None,
) -> FittedPass:
    """Find thresholds in one pass over texts ``(texts, length)``; arguments as in `FittingPass`, sites of attention among ``sites``.

    With ``compensated``, later blocks see each block's mean loss added back.
    """
    table = empty_table(sites, len(layers), tokens.device)
    own, attention = (
        tuple(site for site in sites if (site in ATTENTION) == inside) for inside in (False, True)
    )
    rule = FittingPass(own, choose, weights, table, like, attention)
    recorder = mean_loss(rule, layers) if compensated else None
    reached = float(measure(model, recorder or rule, tokens).mean())
    return FittedPass(rule.thresholds, reached, None if recorder is None else recorder.bias)


def measure(model: PreTrainedModel, policy: Policy, tokens: Tensor, scale: float = 1.0) -> Tensor:
    """Run texts ``(texts, length)`` of equal length under a policy in one pass, without logits.

    Returns
    -------
    Tensor
        Mean sparsity of each layer, in the policy's scope, over the tokens after the dense prefix, ``(layers,)``.
    """
    with attach(model, policy) as session, torch.no_grad():
        session.begin(len(tokens))
        scales = torch.full(tokens.shape, scale, device=tokens.device)
        scales[:, :DENSE_PREFIX] = 0
        counted = scales == 0
        counted[:, 0] = False
        session.plan(scales, counted)
        model(tokens, logits_to_keep=1, use_cache=False)
        return session.sparsity()[:, DENSE_PREFIX:].mean((0, 1))


def mean_loss(policy: Policy, layers: list[FFN]) -> MeanLoss:
    """Wrap a policy so that a pass measures its compensation."""
    like = layers[0].down_weight

    def zeros(*width: int) -> Tensor:
        return torch.zeros(len(layers), *width, device=like.device)

    outputs = {
        site: (maps.qkv_weight if site == QKV else maps.out_weight).shape[0]
        for site in policy.attention_sites
        for maps in [layers[0].attention]
    }
    return MeanLoss(
        policy, layers, zeros(like.shape[0]), zeros(), {site: zeros(width) for site, width in outputs.items()}
    )


def quantile(values: Tensor, share: float) -> Tensor:
    """Return the quantile of many scores from an even subsample; 0 for a share of 0, else positive.

    ReLU leaves many exact zeros, which a threshold of zero would keep.
    """
    if share <= 0:
        return values.new_zeros(())
    flat = values.flatten()
    flat = flat[:: max(1, -(-len(flat) // _QUANTILE_SAMPLE))]
    place = min(len(flat) - 1, int(share * len(flat)))
    return flat.kthvalue(place + 1).values.clamp_min(_SMALLEST)


def empty_table(sites: Sequence[str], layers: int, device: torch.device) -> dict[str, Tensor]:
    """Return one number a layer and site, to be found."""
    return {site: torch.zeros(layers, device=device) for site in sites}
