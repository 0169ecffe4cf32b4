"""Run windows through the model and hand back the measures of every input position.

Texts are packed into trees (`tree`), in which every prefix is computed once. Texts longer than a row of a tree, and
those of models that take no attention mask, run in batches, where a pass goes over some columns of a batch with the keys and values of earlier columns in a cache: shared prefixes
first, then what differs, long texts in pieces. Rows are padded on the right, where no real token can see them.
Predictions are computed only where they are asked for.

A model of a family that is not known here may keep its past in other ways (state-space models, recurrences, mixtures):
it reads each window whole, with others of the same length, so that nothing depends on a cache or on padding. So does a
model whose rotary positions depend on the length of what is read.
"""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from clada_neuro.instrument import information
from clada_neuro.instrument.batching import Batch, Measures, Window, plan, plan_whole, split_windows
from clada_neuro.instrument.probe import check_causal
from clada_neuro.instrument.recorder import ActivityRecorder, Carry
from clada_neuro.instrument.texts import StimulusText
from clada_neuro.instrument.tree import (
    ABREAST,
    WIDEST,
    Branches,
    Tree,
    attention,
    followed,
    padded,
    passes,
    plant,
)
from clada_neuro.instrument.vocabulary import Vocabulary
from clada_neuro.models import branching
from clada_neuro.models.limits import sliding_window
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.registry import is_known, measured_layers, takes_trees
from clada_neuro.models.rotation import rotates_by_length
from clada_neuro.runtime.cutoffs import Cutoffs
from clada_neuro.runtime.sweeps import swept

PADDING = 0
CPU_TOKENS, GPU_TOKENS = 1024, 8192
# Matrix kernels for fewer tokens add up in another order, which moves what follows the huge activations of a start
# token by 3e-4 bits; such a pass repeats its rows.
FEWEST_TOKENS = 16
MOST_LOGITS = 1 << 28  # of one pass: 1 GiB in float32


class Forward:
    """A model made ready to measure windows.

    Attributes
    ----------
    budget : int
        Tokens of one pass: bounds memory.
    top_k : int
        How many of the most probable tokens are kept of each prediction.
    layers : list of FFN
        Whose activity is measured; empty where no feed-forward block is known.
    """

    def __init__(self, model: LanguageModel, top_k: int = 0, cutoffs: Cutoffs | None = None) -> None:
        n_logits = int(model.model.get_output_embeddings().weight.shape[0])
        self.model = model
        self.top_k = min(top_k, n_logits)
        self.cutoffs = cutoffs
        self.device = model.device
        most = GPU_TOKENS if model.device.type == "cuda" else CPU_TOKENS
        self.budget = max(1, min(most, MOST_LOGITS // n_logits))
        self.layers, _ = measured_layers(model.model)
        if not is_known(model.model):
            check_causal(model.model)
        self._whole = not is_known(model.model) or rotates_by_length(model.model)
        # The longest text of a tree: within a sliding window nothing is out of sight, wherever it stands.
        self._longest = 0
        self._branching = branching.follows_branches(model.model)
        if takes_trees(model.model) and not self._whole:
            self._longest = sliding_window(model.model) or model.max_context
        self.vocabulary = Vocabulary.of(model.tokenizer, n_logits, model.device)

    def windows(self, number: int, text: StimulusText) -> list[Window]:
        """Cut a text into windows."""
        model = self.model
        return split_windows(number, text.ids, model.start_token_id, model.max_context, text.scored)

    @torch.inference_mode()
    def measure(
        self, windows: Sequence[Window], groups: Sequence[Hashable]
    ) -> Iterator[tuple[Window, Measures]]:
        """Yield every window with its measures; windows of one group may share a prefix, others may in a tree."""
        widest = self.budget if self._branching else min(WIDEST, self.budget)
        longest = min(widest, self._longest)
        packed = [window for window in windows if len(window.ids) <= longest]
        rest = [pair for pair in zip(windows, groups, strict=True) if len(pair[0].ids) > longest]
        windows, groups = [window for window, _ in rest], [group for _, group in rest]
        with ActivityRecorder(self.layers, self.cutoffs) as recorder:
            for trees in passes(plant(packed, widest), self.budget):
                yield from self._branched(trees, recorder)
            batches = plan_whole(windows, self.budget) if self._whole else plan(windows, groups, self.budget)
            for batch in batches:
                yield from zip(batch.windows, self._batch(batch, recorder), strict=True)

    def _branched(self, trees: Sequence[Tree], recorder: ActivityRecorder) -> list[tuple[Window, Measures]]:
        """Run trees in one pass."""
        ids, positions, branches = padded(trees, FEWEST_TOKENS)
        asked, branches = followed(trees, ids.shape[1]), branches.to(self.device)
        recorder.begin(len(trees), [], branches)
        with self._only(asked.nodes.to(self.device)), self._attention(branches) as mask:
            logits = self.model.model(
                input_ids=ids.to(self.device),
                position_ids=positions.to(self.device),
                attention_mask=mask,
                use_cache=False,
            ).logits[0]
        targets = asked.targets.to(self.device)
        initial = torch.zeros_like(targets, dtype=torch.bool)
        if self.model.start_token_id is not None:
            first = positions.reshape(-1)[asked.nodes[asked.of]].to(self.device) == 0
            initial = first & ~self.vocabulary.spaced[targets]
        found = information.information(
            logits, targets, initial, self.vocabulary, self.top_k, asked.of.to(self.device)
        )
        values = np.stack(list(found.values()))
        activity, _ = recorder.finish()
        places = iter(asked.places)
        return [
            (window, self._of_path(window, path, values[:, next(places)], activity, row))
            for row, tree in enumerate(trees)
            for window, path in zip(tree.windows, tree.paths, strict=True)
        ]

    def _of_path(
        self,
        window: Window,
        path: Sequence[int],
        asked: np.ndarray,
        activity: dict[str, np.ndarray],
        row: int,
    ) -> Measures:
        """Return the measures of one window of a tree from those of its predictions and of the row's nodes."""
        predictions = np.full((len(asked), len(path)), np.nan)
        predictions[:, window.asked :] = asked
        return Measures(
            dict(zip(information.names(self.top_k), predictions, strict=True)),
            {name: values[:, row, list(path)].T for name, values in activity.items()},
        )

    def _batch(self, batch: Batch, recorder: ActivityRecorder) -> list[Measures]:
        state = _State(None, [], 0)
        shared: list[Measures] = []
        if batch.prefixes:
            scored = [
                min(w.asked for w, parent in zip(batch.windows, batch.parents, strict=True) if parent == row)
                for row in range(len(batch.prefixes))
            ]
            follow = [w.ids[batch.shared] for w in _firstborn(batch)]
            rows = [(*prefix, token) for prefix, token in zip(batch.prefixes, follow, strict=True)]
            shared, state = self._rows(rows, scored, state, recorder, open_end=False)
            state = state.select(torch.tensor(batch.parents))  # on the CPU: layers may be on several devices
        rows = [window.ids[batch.shared :] for window in batch.windows]
        scored = [window.asked - batch.shared for window in batch.windows]
        own, _ = self._rows(rows, scored, state, recorder, open_end=True)
        if not shared:
            return own
        return [_join(shared[parent], rest) for parent, rest in zip(batch.parents, own, strict=True)]

    def _rows(
        self,
        rows: Sequence[Sequence[int]],
        scored: Sequence[int],
        state: "_State",
        recorder: ActivityRecorder,
        *,
        open_end: bool,
    ) -> tuple[list[Measures], "_State"]:
        """Run rows of ids in pieces of at most `budget` tokens.

        With `open_end` the last prediction has no target; otherwise the last id of each row is a target only, and
        rows are of one length, so that the state they leave holds no padding.
        """
        wanted = len(rows)
        copies = 1 if state.seen else -(-FEWEST_TOKENS // sum(map(len, rows)))
        rows = [*rows] * copies
        lengths = np.array([len(row) for row in rows]) - (not open_end)
        width = int(lengths.max())
        ids = torch.full((len(rows), width + 1), PADDING)
        targets = torch.full((len(rows), width), -1)
        for row, values in enumerate(rows):
            ids[row, : len(values)] = torch.tensor(values)
            targets[row, : len(values) - 1] = ids[row, 1 : len(values)]
        asked = np.arange(width) < lengths[:, None]
        asked[:wanted] &= np.arange(width) >= np.array(scored)[:, None]
        asked[wanted:] = False
        step = width if self._whole else max(1, self.budget // len(rows))
        pieces = []
        for left in range(0, width, step):
            part = slice(left, min(left + step, width))
            recorder.begin(len(rows), state.carry)
            keep = not open_end or part.stop < width
            predictions, state = self._pass(
                ids[:, part], targets[:, part], torch.from_numpy(asked[:, part]), state, keep
            )
            measured, carry = recorder.finish()
            state = _State(state.cache, carry, state.seen)
            pieces.append((predictions, measured))
        predictions = np.concatenate([piece[0] for piece in pieces], axis=2)
        measured = {
            name: np.concatenate([piece[1][name] for piece in pieces], axis=2) for name in pieces[0][1]
        }
        return [
            Measures(
                dict(zip(information.names(self.top_k), predictions[:, row, :length], strict=True)),
                {name: values[:, row, :length].T for name, values in measured.items()},
            )
            for row, length in enumerate(lengths[:wanted])
        ], state

    def _pass(
        self, ids: Tensor, targets: Tensor, asked: Tensor, state: "_State", keep: bool
    ) -> tuple[np.ndarray, "_State"]:
        """Run one pass; return predictions (measures, rows, seq) and, with `keep`, the cache."""
        rows, seq = ids.shape
        cache = state.cache
        if cache is None and keep:
            cache = DynamicCache(config=self.model.model.config)
        flat = asked.reshape(-1).nonzero()[:, 0].to(self.device)
        with self._only(flat):
            output = self.model.model(
                input_ids=ids.to(self.device),
                attention_mask=torch.ones(rows, state.seen + seq, dtype=torch.long, device=self.device),
                use_cache=cache is not None,
                **({} if cache is None else {"past_key_values": cache}),
            )
        target = targets.reshape(-1).to(self.device)[flat]
        initial = torch.zeros(rows, seq, dtype=torch.bool, device=self.device)
        if state.seen == 0 and self.model.start_token_id is not None:
            initial[:, 0] = ~self.vocabulary.spaced[targets[:, 0].to(self.device)]
        values = information.information(
            output.logits[0], target, initial.reshape(-1)[flat], self.vocabulary, self.top_k
        )
        predictions = np.full((len(values), rows * seq), np.nan)
        predictions[:, flat.cpu().numpy()] = np.stack(list(values.values()))
        return predictions.reshape(-1, rows, seq), _State(cache, [], state.seen + seq)

    @contextmanager
    def _attention(self, branches: Branches) -> Iterator[Tensor]:
        """Let nodes attend along their branches, and yield what the model takes for its mask meanwhile."""
        if not self._branching:
            yield attention(branches, self.model.model.dtype)
            return
        with swept(self.model.model), branching.along_branches(self.model.model):
            yield branching.places(branches.parents)

    @contextmanager
    def _only(self, flat: Tensor) -> Iterator[None]:
        """Let the output layer see the given positions alone: logits are (1, positions, vocabulary).

        The last one is repeated up to a round number, as nodes of padding are added.
        """
        flat = torch.cat([flat, flat[-1:].expand(-len(flat) % ABREAST)])

        def select(_: torch.nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (args[0].reshape(-1, args[0].shape[-1])[flat.to(args[0].device)][None],)

        handle = self.model.model.get_output_embeddings().register_forward_pre_hook(select)
        try:
            yield
        finally:
            handle.remove()


@dataclass(frozen=True)
class _State:
    """What earlier columns of the same rows left: keys and values, activity, and their number of columns."""

    cache: Any
    carry: list[Carry]
    seen: int

    def select(self, rows: Tensor) -> "_State":
        self.cache.batch_select_indices(rows)
        return _State(self.cache, [carry.select(rows) for carry in self.carry], self.seen)


def _firstborn(batch: Batch) -> list[Window]:
    """Return one window for each prefix."""
    return [batch.windows[batch.parents.index(row)] for row in range(len(batch.prefixes))]


def _join(prefix: Measures, rest: Measures) -> Measures:
    return Measures(
        {
            name: np.concatenate([prefix.predictions[name], rest.predictions[name]])
            for name in rest.predictions
        },
        {name: np.concatenate([prefix.activity[name], rest.activity[name]]) for name in rest.activity},
    )
