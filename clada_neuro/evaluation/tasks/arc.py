"""ARC (Clark et al. 2018): science questions of school tests, in an easy and a challenge set."""

from clada_neuro.evaluation.tasks.task import Hub, Item, Row, Task


def local(row: Row) -> Item:
    """Return the item of a row whose query is already the prompt."""
    return Item.choice(row["query"], row["choices"], row["gold"])


def from_hub(row: Row) -> Item:
    """Return the item of a row with question, labelled choices and answerKey."""
    choices = row["choices"]
    gold = choices["label"].index(row["answerKey"])
    return Item.choice(f"Question: {row['question']}\nAnswer:", choices["text"], gold)


EASY = Task(
    "arc_easy", "acc_norm", "test_docs.jsonl", local, Hub("allenai/ai2_arc", "ARC-Easy", "test"), from_hub
)
CHALLENGE = Task(
    "arc_challenge",
    "acc_norm",
    "test_docs.jsonl",
    local,
    Hub("allenai/ai2_arc", "ARC-Challenge", "test"),
    from_hub,
)
