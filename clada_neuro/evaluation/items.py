"""Items of a task, from a data folder or the Hugging Face hub, and a seeded sample of them."""

import random
from collections.abc import Callable, Iterable, Sequence

from clada_neuro.errors import DataError, did_you_mean
from clada_neuro.evaluation.tasks import TASKS, Item, Task
from clada_neuro.evaluation.tasks.task import Hub, Row
from clada_neuro.stimuli import datasets as data_sets


def task_of(name: str) -> Task:
    """Return a task by name."""
    if name not in TASKS:
        raise DataError(f"no task '{name}'{did_you_mean(name, list(TASKS))}; there are {', '.join(TASKS)}")
    return TASKS[name]


def load_items(task: Task) -> list[Item]:
    """Return all items of a task, in the order of its file.

    The file in a folder of ``CLADA_NEURO_DATA`` or in the cache is taken first, then the hub's data set when the
    package ``datasets`` is installed.

    Raises
    ------
    DataError
        If neither is at hand, or a row lacks a field.
    """
    missing = f"the items of task '{task.name}' are on the hub"
    if task.local is not None:
        try:
            folder = data_sets.path(task.local.source)
        except DataError as error:
            if task.hub is None or "is missing" not in str(error):
                raise
            missing = str(error)
        else:
            return _items(task, task.local.item, task.local.read(folder))
    assert task.hub is not None, f"task '{task.name}' declares no items"
    return _items(task, task.hub.item, _hub_rows(task.hub, missing))


def _items(task: Task, item: Callable[[Row], Item], rows: Iterable[Row]) -> list[Item]:
    found = []
    for number, row in enumerate(rows, start=1):
        try:
            found.append(item(row))
        except (KeyError, ValueError) as error:
            raise DataError(
                f"task '{task.name}', row {number} has no usable {error}; fetch the data again"
            ) from error
    return found


def _hub_rows(hub: Hub, missing: str) -> Iterable[Row]:
    try:
        import datasets
    except ImportError:
        raise DataError(f"{missing}; or install datasets, which reads '{hub.path}' from the hub") from None
    try:
        return datasets.load_dataset(hub.path, hub.name, split=hub.split)
    except Exception as error:  # the hub raises many kinds; each means that the data cannot be had
        raise DataError(f"{missing}; '{hub.path}' cannot be had from the hub either") from error


def sample(items: Sequence[Item], limit: int | None, seed: int) -> list[tuple[int, Item]]:
    """Return numbered items in a seeded order, at most ``limit``; a larger limit adds to a smaller one's items."""
    order = list(range(len(items)))
    random.Random(seed).shuffle(order)
    return [(number, items[number]) for number in order[:limit]]
