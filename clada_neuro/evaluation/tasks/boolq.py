"""BoolQ (Clark et al. 2019): yes or no, after a passage.

The harness takes the passages of SuperGLUE, which begin with the article's title; those of the local file do not.
"""

from clada_neuro.evaluation.tasks.task import Hub, Item, Row, Task


def item(row: Row) -> Item:
    """Return the item of a row with passage, question and answer (SuperGLUE: label), true or 1 for yes."""
    right = row["answer"] if "answer" in row else row["label"]
    return Item.choice(f"{row['passage']}\nQuestion: {row['question']}?\nAnswer:", ["no", "yes"], int(right))


TASK = Task("boolq", "acc", "validation.jsonl", item, Hub("aps/super_glue", "boolq", "validation"), item)
