"""OpenBookQA (Mihaylov et al. 2018): elementary science; the bare question stem is the context."""

from clada_neuro.evaluation.tasks.task import Hub, Item, Row, Task


def local(row: Row) -> Item:
    """Return the item of a row whose query wraps the stem as a question."""
    stem = row["query"].removeprefix("Question: ").removesuffix("\nAnswer:")
    return Item.choice(stem, row["choices"], row["gold"])


def from_hub(row: Row) -> Item:
    """Return the item of a row with question_stem, labelled choices and answerKey."""
    choices = row["choices"]
    return Item.choice(
        row["question_stem"], choices["text"], choices["label"].index(row["answerKey"].lstrip())
    )


TASK = Task(
    "openbookqa", "acc_norm", "test_docs.jsonl", local, Hub("allenai/openbookqa", "main", "test"), from_hub
)
