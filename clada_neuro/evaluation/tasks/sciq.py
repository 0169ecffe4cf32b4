"""SciQ (Welbl et al. 2017): science questions after a supporting passage.

The harness takes the test split; the local file holds the validation split, which is drawn alike.
"""

from clada_neuro.evaluation.tasks.task import Hub, Item, Row, Task


def item(row: Row) -> Item:
    """Return the item of a row with support, question, three distractors and correct_answer."""
    context = f"{row['support'].lstrip()}\nQuestion: {row['question']}\nAnswer:"
    names = ("distractor1", "distractor2", "distractor3", "correct_answer")
    return Item.choice(context, [row[name] for name in names], 3)


TASK = Task("sciq", "acc_norm", "validation.jsonl", item, Hub("allenai/sciq", None, "test"), item)
