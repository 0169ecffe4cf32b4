"""Riddles: which of three things is meant."""

from clada_neuro.evaluation.tasks.task import Hub, Item, Local, Task, lines_of
from clada_neuro.stimuli.registry import Source


def item(row):
    return Item.choice(f"Riddle: {row['question']}\nAnswer:", row["answers"], row["right"])


SOURCE = Source.benchmark(
    "riddles",
    url="https://example.org/riddles/",
    licence="CC0",
    citation="Nobody 2020, Riddles",
    files={
        "riddles.jsonl": {
            "path": "riddles.jsonl",
            "sha256": "15b73e69d57370735f98d42930a281fb74b554ab187b47798bdd4542fb450c31",
        }
    },
)
DECLARED = [
    Task(
        name="riddles",
        place=45,
        metric="acc",
        chance=1 / 3,
        local=Local(SOURCE, lines_of("riddles.jsonl"), item),
        hub=Hub("nobody/riddles", None, "test", item),
    )
]
