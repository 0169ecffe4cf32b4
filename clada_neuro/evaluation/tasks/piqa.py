"""PIQA (Bisk et al. 2020): which of two solutions reaches a goal."""

from pathlib import Path

from clada_neuro.evaluation.tasks.task import Hub, Item, Local, Row, Task, read_lines
from clada_neuro.stimuli.registry import Source


def read(folder: Path) -> list[Row]:
    """Read the questions and, from the file beside them, the labels."""
    rows = read_lines(folder, "orig_valid.jsonl")
    labels = (folder / "orig_valid-labels.lst").read_text(encoding="utf-8").split()
    return [{**row, "label": int(label)} for row, label in zip(rows, labels, strict=True)]


def item(row: Row) -> Item:
    """Return the item of a row with goal, sol1, sol2 and label."""
    return Item.choice(f"Question: {row['goal']}\nAnswer:", [row["sol1"], row["sol2"]], row["label"])


SOURCE = Source.benchmark(
    "piqa",
    url="https://raw.githubusercontent.com/ybisk/ybisk.github.io/21edab439af693b961be2f069e8690a88d3b4e37/",
    licence="AFL-3.0 (ybisk piqa/data/README.md)",
    citation="Bisk et al. 2020, PIQA, AAAI",
    files={
        "orig_valid.jsonl": {
            "path": "piqa/data/valid.jsonl",
            "sha256": "93503cc97c679e459b065c3d13e848282e44b2a25213985bed3e5d458abef72d",
        },
        "orig_valid-labels.lst": {
            "path": "piqa/data/valid-labels.lst",
            "sha256": "b4192dc3a2a0363d9d60ccf79800cbbe2f32ebb17726efdde6970e0b8131bceb",
        },
    },
)
DECLARED = [
    Task(
        name="piqa",
        place=20,
        metric="acc_norm",
        chance=0.5,
        local=Local(SOURCE, read, item),
        hub=Hub("baber/piqa", None, "validation", item),
    )
]
