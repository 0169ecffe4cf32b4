"""The nine zero-shot tasks, by name."""

from clada_neuro.evaluation.tasks import arc, boolq, hellaswag, lambada, openbookqa, piqa, sciq, winogrande
from clada_neuro.evaluation.tasks.task import Item, Task

__all__ = ["TASKS", "Item", "Task"]

TASKS = {
    task.name: task
    for task in (
        hellaswag.TASK,
        piqa.TASK,
        arc.EASY,
        arc.CHALLENGE,
        winogrande.TASK,
        openbookqa.TASK,
        boolq.TASK,
        lambada.TASK,
        sciq.TASK,
    )
}
