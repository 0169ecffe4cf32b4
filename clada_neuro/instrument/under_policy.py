"""Measure windows while a policy leaves part of the feed-forward blocks, or of all linear maps, uncomputed.

The runtime decides how a text is processed (in one pass or token by token) and shows each step to an observer. The
dense model reads the same windows first, so that every prediction can be compared with its own.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from clada_neuro.cache import cache_key
from clada_neuro.instrument import activity, information
from clada_neuro.instrument.batching import Measures, Window
from clada_neuro.instrument.forward import Forward
from clada_neuro.instrument.recorder import MEASURES
from clada_neuro.measures.activity import ACTIVITY
from clada_neuro.measures.measure import in_order
from clada_neuro.models.rotation import alike
from clada_neuro.runtime.policy import ALL, SHARE, Policy
from clada_neuro.runtime.predictions import kept
from clada_neuro.runtime.scoring import BATCH_SEQUENCES, Score, score

LEAST_PREFIX = 4  # tokens computed densely before the policy sets in, start token included
_PREFIX_MEASURES = [measure.name for measure in ACTIVITY if measure.of_prefix]


class PolicyForward:
    """A model under a policy, made ready to measure windows.

    The dense prefix of a window is its context or the part that overlaps with the window before, and at least
    `LEAST_PREFIX` tokens.
    """

    def __init__(self, forward: Forward, policy: Policy) -> None:
        self.dense = forward
        self.policy = policy

    @torch.inference_mode()
    def measure(self, windows: Sequence[Window], seeds: Sequence[int]) -> Iterator[tuple[Window, Measures]]:
        """Yield every window with its measures; `seeds` (one per window) feed random controls."""
        lengths = [len(window.ids) for window in windows]
        for places in alike(self.dense.model.model, lengths):
            yield from self._alike(windows, seeds, sorted(places, key=lengths.__getitem__))

    def _alike(
        self, windows: Sequence[Window], seeds: Sequence[int], order: list[int]
    ) -> Iterator[tuple[Window, Measures]]:
        while order:
            rows = min(BATCH_SEQUENCES, len(order))
            while rows > 1 and rows * len(windows[order[rows - 1]].ids) > self.dense.budget:
                rows -= 1
            some = [windows[place] for place in order[:rows]]
            yield from zip(some, self._batch(some, [seeds[place] for place in order[:rows]]), strict=True)
            order = order[rows:]

    def _batch(self, windows: list[Window], seeds: list[int]) -> list[Measures]:
        model = self.dense.model.model
        observer = _Collector(self.dense, windows, self.policy.scope)
        scores = score(
            model,
            self.policy,
            [window.ids for window in windows],
            prefix=[max(LEAST_PREFIX, window.input_position(window.scored)) for window in windows],
            seeds=seeds,
            observer=observer,
        )
        return [observer.measures(row, found) for row, found in enumerate(scores)]


class _Collector:
    """Turns what the runtime shows into measures; rows are windows, positions are model inputs."""

    def __init__(self, forward: Forward, windows: list[Window], scope: str) -> None:
        self.forward = forward
        self.scope = scope
        self.windows = windows
        self.ids = pad_sequence([torch.tensor(window.ids) for window in windows], batch_first=True).to(
            forward.device
        )
        self.lengths = torch.tensor([len(window.ids) for window in windows], device=forward.device)
        self.asked = torch.tensor([window.asked for window in windows], device=forward.device)
        with kept(forward.model.model) as self.expected:
            forward.model.model(self.ids, attention_mask=torch.ones_like(self.ids))
        shape = tuple(self.ids.shape)
        self.names = (*information.names(forward.top_k), "kl_dense_bits")
        self.predictions = np.full((len(self.names), *shape), np.nan)
        self.activity = np.full((len(MEASURES), len(forward.layers), *shape), np.nan, np.float32)
        sizes = [(len(windows), ffn.neuron_norms.shape[0]) for ffn in forward.layers]
        self.last = [torch.zeros(size, device=forward.device) for size in sizes]
        self.total = [torch.zeros(size, device=forward.device) for size in sizes]

    def hidden(self, layer: int, rows: Tensor, positions: Tensor, a: Tensor) -> None:
        """Measure the activity of consecutive tokens of some windows."""
        magnitude = a.float().abs()
        skipped = activity.neuron_sparsity(magnitude)
        e = magnitude * self.forward.layers[layer].neuron_norms.to(a.device)
        e[positions == 0] = 0
        which, counts = rows.unique_consecutive(return_counts=True)
        padded = pad_sequence(e.split(counts.tolist()), batch_first=True)
        values, total = activity.activity(padded, self.last[layer][which], self.total[layer][which])
        real = torch.arange(padded.shape[1], device=e.device) < counts[:, None]
        kept = {name: padded[real] for name, padded in values.items()}
        kept["neuron_sparsity"] = skipped.masked_fill(positions == 0, math.nan)
        in_columns = torch.stack(in_order(kept, MEASURES)).cpu().numpy()
        self.activity[:, layer, rows.cpu().numpy(), positions.cpu().numpy()] = in_columns
        self.last[layer][which] = padded[torch.arange(len(which)), counts - 1]
        self.total[layer][which] = total

    def logits(self, rows: Tensor, positions: Tensor, logits: Tensor) -> None:
        """Measure predictions that are asked for."""
        wanted = positions >= self.asked[rows]
        rows, positions, logits = rows[wanted], positions[wanted], logits[wanted]
        follows = positions + 1 < self.lengths[rows]
        targets = torch.where(follows, self.ids[rows, (positions + 1).clamp(max=self.ids.shape[1] - 1)], -1)
        initial = (positions == 0) & follows & ~self.forward.vocabulary.spaced[targets]
        if self.forward.model.start_token_id is None:
            initial[:] = False
        found = information.information(logits, targets, initial, self.forward.vocabulary, self.forward.top_k)
        found["kl_dense_bits"] = information.divergence(self.expected.logits(rows, positions), logits)
        values = np.stack(in_order(found, self.names)) + 0.0  # no -0.0
        self.predictions[:, rows.cpu().numpy(), positions.cpu().numpy()] = values

    def measures(self, row: int, found: Score) -> Measures:
        """Return the measures of one window."""
        length = len(self.windows[row].ids)
        active = dict(zip(MEASURES, self.activity[:, :, row, :length].transpose(0, 2, 1), strict=True))
        for name in _PREFIX_MEASURES:
            active[name][: found.prefix] = np.nan
        active["ffn_sparsity"] = found.ffn_sparsity.numpy()
        if self.scope == ALL:
            active[SHARE[ALL]] = found.sparsity.numpy()
        signals = {
            "load": found.load,
            "reanalysis_event": found.event,
            "reanalysis_action": found.action,
        }
        return Measures(
            dict(zip(self.names, self.predictions[:, row, :length], strict=True)),
            active,
            {name: values.double().numpy() for name, values in signals.items()},
        )


def describe(policy: Policy | None) -> dict[str, Any]:
    """Return what a manifest records about a policy: its name and a hash of all that decides its masks, code included."""
    if policy is None:
        return {"name": "dense"}
    key = cache_key(type(policy).__module__, _plain(policy))
    return {"name": policy.name, "scope": policy.scope, "hash": key, "dense_prefix": LEAST_PREFIX}


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value
