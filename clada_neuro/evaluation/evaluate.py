"""Put tasks to a model under several policies, item by item, and keep what is finished.

Items go through in chunks. For each batch of a chunk the dense contexts are computed once; then every policy answers.
A chunk's results under one policy are a file in the cache, named by a hash of all that decides them: model, start
token, items, start of the policy, policy and its calibration. So an interrupted run goes on, a larger limit adds to a
smaller one, and results of different calibrations never mix.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from clada_neuro.artifacts import cache_folder, content_hash, is_current, read_table, write_table
from clada_neuro.evaluation.contestants import Contestant, contestants
from clada_neuro.evaluation.continuations import Contexts, Found, Signals, batches
from clada_neuro.evaluation.encoding import encode_item
from clada_neuro.evaluation.items import load_items, sample, task_of
from clada_neuro.evaluation.tasks import Item, Task
from clada_neuro.models.loading import LanguageModel
from clada_neuro.runtime.policy import Policy

CHUNK = 25  # items
_FORMAT = 1  # of the kept results; raised when what is computed changes


@dataclass(frozen=True)
class _Chunk:
    task: Task
    items: list[tuple[int, Item]]


def evaluate(
    model: LanguageModel,
    tasks: Sequence[str],
    policies: Sequence[str],
    *,
    sparsities: Sequence[float] = (0.4,),
    limit: int | None = None,
    seed: int = 0,
    start: str = "answer",
    calibration: Path | None = None,
) -> pd.DataFrame:
    """Evaluate policies on tasks.

    Parameters
    ----------
    model : LanguageModel
    tasks, policies : sequence of str
        Names (`clada_neuro.evaluation.tasks.TASKS`, `clada_neuro.calibration.policies.POLICIES`).
    sparsities : sequence of float
        Wanted shares of feed-forward weight bytes not read.
    limit : int, optional
        Items of each task, drawn with ``seed``; default all.
    start : {"answer", "middle"}
        See `clada_neuro.evaluation.continuations.Contexts`.
    calibration : Path, optional
        Default: the one shipped for the model.

    Returns
    -------
    pandas.DataFrame
        One row an item and policy: task, item (row of the task's data, from 0), policy, asked, start, calibration,
        gold, choice, choice_norm, correct, correct_norm, log_probs (nats, of every answer), answer_tokens,
        affected_tokens, policy_tokens, ffn_sparsity and dropped_tokens.

    Raises
    ------
    DataError, CalibrationError, ModelError
    """
    chosen = [task_of(name) for name in tasks]
    entered = contestants(model, policies, sparsities, calibration)
    # A first chunk of every task, then a second one: an interrupted run has about as much of each.
    rounds = zip_longest(*(_chunks(task, limit, seed) for task in chosen))
    chunks = [chunk for one in rounds for chunk in one if chunk is not None]
    folder = cache_folder("evaluation", content_hash(model.weights_hash))
    frames = []
    total = sum(len(chunk.items) for chunk in chunks) * len(entered)
    with tqdm(total=total, desc="items under policies", unit="") as bar:
        for chunk in chunks:
            bar.set_postfix_str(chunk.task.name)
            keys = {c: _key(model, chunk, c, start) for c in entered}
            paths = {c: folder / f"{chunk.task.name}-{c.name}-{key}.parquet" for c, key in keys.items()}
            missing = [c for c in entered if not is_current(paths[c], keys[c])]
            bar.update(len(chunk.items) * (len(entered) - len(missing)))
            if missing:
                for contestant, rows in _answer(model, chunk, missing, start, bar).items():
                    write_table(pd.DataFrame(rows), paths[contestant], {"inputs": keys[contestant]})
            frames += [read_table(paths[c]) for c in entered]
    return pd.concat(frames, ignore_index=True)


def _chunks(task: Task, limit: int | None, seed: int) -> Iterator[_Chunk]:
    drawn = sample(load_items(task), limit, seed)
    for begin in range(0, len(drawn), CHUNK):
        yield _Chunk(task, drawn[begin : begin + CHUNK])


def _key(model: LanguageModel, chunk: _Chunk, contestant: Contestant, start: str) -> str:
    items = [(number, item.contexts, item.answers, item.gold) for number, item in chunk.items]
    described = model.describe()
    return content_hash(
        _FORMAT,
        [described[name] for name in ("weights_hash", "dtype", "start_token_id", "max_context")],
        chunk.task.name,
        items,
        start,
        [contestant.name, contestant.asked, contestant.calibration],
    )


def _answer(
    model: LanguageModel, chunk: _Chunk, entered: Sequence[Contestant], start: str, bar: tqdm
) -> dict[Contestant, list[dict]]:
    """Return one row an item under every contestant."""
    encoded = [
        (place, part)
        for place, (number, item) in enumerate(chunk.items)
        for part in encode_item(model, item, int(content_hash(chunk.task.name, number), 16) % 2**31)
    ]
    requests = [part.request for _, part in encoded]
    answers: dict[Contestant, list[list]] = {
        c: [[None] * len(item.answers) for _, item in chunk.items] for c in entered
    }
    step = len(chunk.items) / len(requests)
    for batch in batches(requests):
        contexts = Contexts(model.model, [requests[place] for place in batch], start)
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
            bar.update(step * len(batch))
    dropped = [
        max(part.dropped for other, part in encoded if other == place) for place in range(len(chunk.items))
    ]
    return {
        contestant: [
            _row(chunk.task, number, item, contestant, start, found, lost)
            for (number, item), found, lost in zip(chunk.items, results, dropped, strict=True)
        ]
        for contestant, results in answers.items()
    }


def _unloaded_first(entered: Sequence[Contestant]) -> list[Contestant]:
    return sorted(entered, key=lambda contestant: contestant.unloaded is not None)


def _row(
    task: Task,
    number: int,
    item: Item,
    contestant: Contestant,
    start: str,
    found: list[Found],
    dropped: int,
) -> dict:
    log_probs = np.array([answer.log_prob for answer in found])
    choice = int(log_probs.argmax())
    choice_norm = int((log_probs / [len(answer) for answer in item.answers]).argmax())
    completed = len(found) > 1 or found[0].greedy  # a single answer is a completion: right when it is greedy
    processed = sum(answer.policy_tokens for answer in found)
    return {
        "task": task.name,
        "item": number,
        "policy": contestant.name,
        "asked": contestant.asked,
        "start": start,
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
        "ffn_sparsity": sum(answer.ffn_sparsity * answer.policy_tokens for answer in found)
        / max(1, processed),
        "dropped_tokens": dropped,
    }
