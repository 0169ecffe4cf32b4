"""The zero-shot tasks by name: every file of this folder declares its own (see `clada_neuro.evaluation.tasks.task`)."""

import pkgutil
from importlib import import_module

from clada_neuro.evaluation.tasks.task import Item, Task

__all__ = ["TASKS", "Item", "Task"]


def _declared() -> dict[str, Task]:
    modules = [import_module(f"{__name__}.{entry.name}") for entry in pkgutil.iter_modules(__path__)]
    found = [task for module in modules for task in getattr(module, "DECLARED", ())]
    return {task.name: task for task in sorted(found, key=lambda task: (task.place, task.name))}


TASKS = _declared()
