"""Put tasks to a model under several policies, item by item, and keep what is finished.

Items go through in chunks. For each batch of a chunk the dense contexts are computed once; then every policy answers.
A chunk's results under one policy are a file in the cache, named by the key of all that decides them: model, its device
threads and routes of its linear maps, start token, items, start of the policy, policy and its calibration, code and versions. So an interrupted run goes on, a larger
limit adds to a smaller one, and results of different calibrations never mix.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pandas as pd

from clada_neuro.artifacts import cache_folder, content_hash
from clada_neuro.cache import TABLE, Store
from clada_neuro.errors import IncompleteError
from clada_neuro.evaluation.contestants import Contestant, contestants
from clada_neuro.evaluation.continuations import Contexts, batches
from clada_neuro.evaluation.encoding import encode_item
from clada_neuro.evaluation.items import load_items, sample, task_of
from clada_neuro.evaluation.requests import Answered, Signals
from clada_neuro.evaluation.tasks import Item, Task
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.places import Failure, Here, Places
from clada_neuro.progress import ProgressBar
from clada_neuro.runtime.policy import ALL, FFN_ONLY, SHARE, Policy

CHUNK = 50  # items: fewer leave a pass over their answers too short to keep a processor busy


@dataclass(frozen=True)
class _Chunk:
    """Items of a task that go through together, and where the policies set in."""

    task: str
    items: list[tuple[int, Item]]
    start: str


class Unanswered(IncompleteError):
    """Chunks failed; ``items`` holds the rows of the rest."""

    def __init__(self, failed: list[tuple[_Chunk, str]], chunks: int, items: pd.DataFrame) -> None:
        self.items = items
        first, reason = failed[0]
        super().__init__(
            f"{len(failed)} of {chunks} chunks could not be answered (first: {len(first.items)} items of {first.task}; "
            f"{reason}); the rest is kept, and the same command tries the missing ones again"
        )


def evaluate(
    model: LanguageModel,
    tasks: Sequence[str],
    policies: Sequence[str],
    *,
    sparsities: Sequence[float] = (0.4,),
    limit: int | None = None,
    seed: int = 0,
    starts: Sequence[str] = ("answer",),
    calibration: Path | None = None,
    scope: str = FFN_ONLY,
    places: Places | None = None,
) -> pd.DataFrame:
    """Evaluate policies on tasks.

    Parameters
    ----------
    model : LanguageModel
    tasks, policies : sequence of str
        Names (`clada_neuro.evaluation.tasks.TASKS`, `clada_neuro.policies.registry.POLICIES`).
    sparsities : sequence of float
        Wanted shares of weight bytes not read, of what the scope is.
    limit : int, optional
        Items of each task, drawn with ``seed``; default all.
    starts : sequence of {"answer", "middle"}
        See `clada_neuro.evaluation.continuations.Contexts`.
    calibration : Path, optional
        Default: the one shipped for the model and the scope.
    scope : {"ffn", "all"}
        What policies may leave out: weights of feed-forward blocks, or all linear weights of the layers.
    places : Places, optional
        Where chunks are answered; default this process.

    Returns
    -------
    pandas.DataFrame
        One row an item and policy: task, item (row of the task's data, from 0), policy, asked, start, calibration,
        gold, choice, choice_norm, correct, correct_norm, log_probs (nats, of every answer), answer_tokens,
        affected_tokens, policy_tokens, ffn_sparsity and dropped_tokens; in scope ``all`` linear_sparsity, too.

    Raises
    ------
    DataError, CalibrationError, ModelError
    Unanswered
        If chunks failed on workers.
    """
    chosen = [task_of(name) for name in tasks]
    entered = contestants(model, policies, sparsities, calibration, scope)
    # A first chunk of every task, then a second one: an interrupted run has about as much of each.
    rounds = zip_longest(*(_chunks(task, limit, seed, start) for start in starts for task in chosen))
    chunks = [chunk for one in rounds for chunk in one if chunk is not None]
    kept = _Kept(model)
    absent = [[c for c in entered if not kept.has(chunk, c)] for chunk in chunks]
    work = {number: (chunks[number], asked) for number, asked in enumerate(absent) if asked}
    failed: dict[int, str] = {}
    total = sum(len(chunk.items) for chunk in chunks) * len(entered)
    waiting = sum(len(chunk.items) * len(asked) for chunk, asked in work.values())
    with ProgressBar(total=total, initial=total - waiting, desc="items under policies", unit="") as bar:
        for number, found in (places or Here(model)).each(_answer, work):
            chunk, asked = work[number]
            if isinstance(found, Failure):
                failed[number] = found.reason
                continue
            for contestant, rows in zip(asked, found, strict=True):
                kept.put(chunk, contestant, rows)
            bar.set_postfix_str(chunk.task, refresh=False)
            bar.update(len(chunk.items) * len(asked))
    finished = [chunk for number, chunk in enumerate(chunks) if number not in failed]
    tables = [kept.read(chunk, contestant) for chunk in finished for contestant in entered]
    items = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    if failed:
        raise Unanswered([(chunks[number], reason) for number, reason in failed.items()], len(chunks), items)
    return items


def _chunks(task: Task, limit: int | None, seed: int, start: str) -> Iterator[_Chunk]:
    drawn = sample(load_items(task), limit, seed)
    for begin in range(0, len(drawn), CHUNK):
        yield _Chunk(task.name, drawn[begin : begin + CHUNK], start)


class _Kept:
    """Finished chunks in the cache, a file a contestant."""

    def __init__(self, model: LanguageModel) -> None:
        described = model.describe()
        names = ("weights_hash", "dtype", "device", "start_token_id", "max_context", "linear")
        self._model = [model.threads, *(described[name] for name in names)]
        self._folder = cache_folder("evaluation", content_hash(model.weights_hash))

    def has(self, chunk: _Chunk, contestant: Contestant) -> bool:
        """Return whether the results are there."""
        store, name = self._place(chunk, contestant)
        return store.has(name)

    def put(self, chunk: _Chunk, contestant: Contestant, rows: list[dict]) -> None:
        """Write results."""
        store, name = self._place(chunk, contestant)
        store.write(name, pd.DataFrame(rows))

    def read(self, chunk: _Chunk, contestant: Contestant) -> pd.DataFrame | None:
        """Return results, None where they are not there."""
        store, name = self._place(chunk, contestant)
        return store.read(name)

    def _place(self, chunk: _Chunk, contestant: Contestant) -> tuple[Store[pd.DataFrame], str]:
        """Return the store of all that decides the results, and their name in it."""
        items = [(number, item.contexts, item.answers, item.gold) for number, item in chunk.items]
        asked = [contestant.name, contestant.asked, contestant.calibration, contestant.added]
        store = Store.of(
            self._folder, __name__, self._model, chunk.task, items, chunk.start, asked, codec=TABLE
        )
        return store, f"{chunk.task}-{contestant.name}-{store.key}"


def _answer(model: LanguageModel, work: tuple[_Chunk, list[Contestant]]) -> list[list[dict]]:
    """Return of every contestant one row an item."""
    chunk, entered = work
    encoded = [
        (place, part)
        for place, (number, item) in enumerate(chunk.items)
        for part in encode_item(model, item, int(content_hash(chunk.task, number), 16) % 2**31)
    ]
    requests = [part.request for _, part in encoded]
    answers: dict[Contestant, list[list]] = {
        c: [[None] * len(item.answers) for _, item in chunk.items] for c in entered
    }
    for batch in batches(requests, model.model):
        contexts = Contexts(model.model, [requests[place] for place in batch], chunk.start)
        signals: dict[Policy, Signals] = {}
        for contestant in _unloaded_first(entered):
            source = contestant.unloaded
            if source is not None and source not in signals:
                signals[source] = contexts.run(source)[1]
            found, signals[contestant.policy] = contexts.run(
                contestant.policy, None if source is None else signals[source]
            )
            for request, results in zip(batch, found, strict=True):
                place, part = encoded[request]
                for answer, result in zip(part.answers, results, strict=True):
                    answers[contestant][place][answer] = result
    dropped = [
        max(part.dropped for other, part in encoded if other == place) for place in range(len(chunk.items))
    ]
    return [
        [
            _row(chunk, number, item, contestant, found, lost)
            for (number, item), found, lost in zip(chunk.items, answers[contestant], dropped, strict=True)
        ]
        for contestant in entered
    ]


def _unloaded_first(entered: Sequence[Contestant]) -> list[Contestant]:
    return sorted(entered, key=lambda contestant: contestant.unloaded is not None)


def _row(
    chunk: _Chunk, number: int, item: Item, contestant: Contestant, found: list[Answered], dropped: int
) -> dict:
    log_probs = np.array([answer.log_prob for answer in found])
    choice = int(log_probs.argmax())
    choice_norm = int((log_probs / [len(answer) for answer in item.answers]).argmax())
    completed = len(found) > 1 or found[0].greedy  # a single answer is a completion: right when it is greedy
    processed = sum(answer.policy_tokens for answer in found)

    def over_tokens(values: Iterable[float]) -> float:
        total = sum(v * a.policy_tokens for v, a in zip(values, found, strict=True))
        return total / max(1, processed)

    whole = (
        {} if contestant.policy.scope == FFN_ONLY else {SHARE[ALL]: over_tokens(a.sparsity for a in found)}
    )
    return {
        "task": chunk.task,
        "item": number,
        "policy": contestant.name,
        "asked": contestant.asked,
        "start": chunk.start,
        "calibration": contestant.calibration,
        "gold": item.gold,
        "choice": choice,
        "choice_norm": choice_norm,
        "correct": choice == item.gold and completed,
        "correct_norm": choice_norm == item.gold and completed,
        "log_probs": log_probs.tolist(),
        "answer_tokens": sum(answer.tokens for answer in found),
        "affected_tokens": sum(answer.affected for answer in found),
        "policy_tokens": processed,
        "ffn_sparsity": over_tokens(answer.ffn_sparsity for answer in found),
        **whole,
        "dropped_tokens": dropped,
    }
