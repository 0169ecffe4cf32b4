"""A policy at work on a batch of sequences: which pass is prefill, what is masked, what was read."""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.errors import ModelError
from clada_neuro.models.ffn import FFN
from clada_neuro.models.registry import policy_layers
from clada_neuro.runtime.policy import ATTENTION, INPUT, Policy, Reads, State, rows, scope_reads
from clada_neuro.runtime.prefix import Prefix


class Session:
    """The meeting of one policy and one batch of sequences; `attach` yields it.

    A pass over given tokens is dense. A pass follows the policy after `drawn` (one token a sequence) or `plan`
    (given tokens in one pass).

    Attributes
    ----------
    state : State
        The policy's state of the sequences.
    masks : dict
        (layer, site) → mask ``(batch, seq, rows)`` of the last pass, empty after a dense one.
    """

    def __init__(self, model: PreTrainedModel, policy: Policy) -> None:
        self.policy = policy
        self.layers = policy_layers(model)
        self.reads = [policy.reads(ffn) for ffn in self.layers]
        self.scope_reads = [scope_reads(ffn, policy) for ffn in self.layers]
        self.masks: dict[tuple[int, str], Tensor] = {}
        self._kept: dict[tuple[int, str], Tensor] = {}
        self._device = model.device
        self._shape = (0, 0)
        self._logits: Tensor | None = None
        self.begin(0)
        self._fresh = False

    def begin(self, batch: int, seeds: Tensor | None = None) -> None:
        """Start fresh sequences; ``seeds (batch,)`` serve the random controls."""
        self.state: State = self.policy.init(Prefix(batch, self._device), seeds)
        self._counted: Tensor | None = None  # given or densely computed tokens that enter prefix statistics
        self._fresh, self._follow = True, False

    def drawn(self, token: Tensor) -> None:
        """Announce the tokens ``(batch,)`` drawn from the last logits: the next pass processes them by the policy."""
        if self._logits is None:
            raise ModelError(
                "a drawn token was announced before any pass of the model; process the prompt first"
            )
        self.policy.observe(self.state, self._logits, token)
        self._follow, self._counted = True, None

    def cancel(self) -> None:
        """Forget an announced token that was never processed, such as the last of a generation."""
        self._follow = False

    def plan(self, scale: Tensor, counted: Tensor) -> None:
        """Announce given tokens that the next pass processes by the policy.

        ``scale (batch, seq)`` multiplies thresholds and is 0 where a token is dense; ``counted (batch, seq)`` marks
        the dense tokens whose activations enter the prefix statistics.
        """
        self.state.scale = scale
        self._follow, self._counted = True, counted

    def reorder(self, index: Tensor) -> None:
        """Keep the sequences of ``index``, in that order."""
        self.policy.reorder(self.state, index)
        if self._logits is not None:
            self._logits = self._logits[index]

    def ffn_sparsity(self) -> Tensor:
        """Return the share of each block's weight bytes that the last pass did not read, ``(batch, seq, layers)``."""
        return self._left_out(self.reads)

    def sparsity(self) -> Tensor:
        """Return the share that the last pass did not read of what the policy's scope is, ``(batch, seq, layers)``."""
        return self._left_out(self.scope_reads)

    def dropped(self) -> dict[str, Tensor]:
        """Return the share of each site's rows that the last pass did not read, ``(batch, seq, layers)``."""
        sites = (*self.policy.attention_sites, *self.policy.sites)
        if not self.masks:
            return {site: torch.zeros(*self._shape, len(self.layers), device=self._device) for site in sites}
        kept = self._rows_kept()
        return {
            site: torch.stack(
                [1 - kept[ffn.layer, site].expand(self._shape) / rows(ffn, site) for ffn in self.layers],
                dim=-1,
            )
            for site in sites
        }

    def _rows_kept(self) -> dict[tuple[int, str], Tensor]:
        """Count each mask of the last pass once, whoever asks."""
        self._kept |= {key: mask.sum(-1) for key, mask in self.masks.items() if key not in self._kept}
        return self._kept

    def _left_out(self, reads: list[Reads]) -> Tensor:
        if not self.masks:
            return torch.zeros(*self._shape, len(self.layers), device=self._device)
        kept = self._rows_kept()
        shares = [
            layer.sparsity({site: kept[ffn.layer, site] for site in layer.row})
            for ffn, layer in zip(self.layers, reads, strict=True)
        ]
        return torch.stack([share.expand(self._shape) for share in shares], dim=-1)

    def before_pass(self, shape: tuple[int, int], cached: int, attention_mask: Tensor | None) -> None:
        """Prepare for a pass over ``(batch, seq)`` tokens after ``cached`` ones."""
        if self._follow and self._counted is None and shape[1] != 1:
            raise ModelError(
                f"a drawn token was announced, {shape[1]} tokens a sequence arrived; pass it alone"
            )
        self._shape, self.masks, self._kept = shape, {}, {}
        if not self._follow:
            if cached == 0 and not self._fresh:
                self.begin(shape[0])
            self.state.scale = torch.zeros(shape[0], 1, device=self._device)
            self._counted = _statistics_tokens(shape, cached, attention_mask).to(self._device)
        elif self._counted is None:
            self._counted = self.state.dense
        self._sparse = bool(self.state.scale.any())
        self._fresh = self._follow = False

    def after_pass(self, logits: Tensor) -> None:
        """Keep the last position's logits for the next drawn token."""
        self._logits = logits[:, -1]

    def masked(self, ffn: FFN, site: str, decided_from: Tensor, values: Tensor) -> Tensor:
        """Return what the block sees of ``values``: what the policy lets pass, commonly kept rows and zeros."""
        seen = decided_from.reshape(*self._shape, -1)
        if site not in (INPUT, *ATTENTION) and self.policy.uses_prefix:
            assert self._counted is not None
            self.state.prefix.update(ffn.layer, seen, self._counted)
        if not self._sparse:
            return values
        mask = self.policy.select(ffn.layer, site, seen, self.state) | self.state.dense[..., None]
        self.masks[ffn.layer, site] = mask
        passed = self.policy.masked(ffn.layer, site, values.reshape(*self._shape, -1), mask)
        return passed.reshape(values.shape)

    def compensated(self, ffn: FFN, output: Tensor) -> Tensor:
        """Return a block's output with the policy's compensation at the tokens that follow it."""
        return self._with(self.policy.compensation(ffn.layer, self.state) if self._sparse else None, output)

    def compensated_at(self, ffn: FFN, site: str, output: Tensor, start: int = 0) -> Tensor:
        """Return what a map of attention gives, likewise; its outputs are those of the site from ``start`` on."""
        bias = self.policy.attention_compensation(ffn.layer, site, self.state) if self._sparse else None
        return self._with(None if bias is None else bias[..., start : start + output.shape[-1]], output)

    def _with(self, bias: Tensor | None, output: Tensor) -> Tensor:
        if bias is None:
            return output
        bias = torch.where(self.state.dense[..., None], 0.0, bias).to(output.dtype)
        return (output.reshape(*self._shape, -1) + bias).reshape(output.shape)


def _statistics_tokens(shape: tuple[int, int], cached: int, attention_mask: Tensor | None) -> Tensor:
    """Return which given tokens enter prefix statistics: real ones, without each sequence's first.

    The first token of a sequence is an attention sink whose activations dwarf all others.
    """
    if attention_mask is None or attention_mask.dim() != 2:
        real = torch.ones(shape[0], cached + shape[1], dtype=torch.bool)
    else:
        real = attention_mask.bool()
    counted = real & (real.cumsum(1) > 1)
    return counted[:, -shape[1] :]
