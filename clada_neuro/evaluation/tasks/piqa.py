"""PIQA (Bisk et al. 2020): which of two solutions reaches a goal."""

from pathlib import Path

from clada_neuro.evaluation.tasks.task import Hub, Item, Row, Task, read_lines


def read(folder: Path, file: str) -> list[Row]:
    """Read the questions and, from the file beside them, the labels."""
    labels = (folder / file.replace(".jsonl", "-labels.lst")).read_text(encoding="utf-8").split()
    return [{**row, "label": int(label)} for row, label in zip(read_lines(folder, file), labels, strict=True)]


def item(row: Row) -> Item:
    """Return the item of a row with goal, sol1, sol2 and label."""
    return Item.choice(f"Question: {row['goal']}\nAnswer:", [row["sol1"], row["sol2"]], row["label"])


TASK = Task("piqa", "acc_norm", "orig_valid.jsonl", item, Hub("baber/piqa", None, "validation"), item, read)
