"""HellaSwag (Zellers et al. 2019): the most plausible ending of a description.

The harness joins ``ctx_a`` with the capitalised ``ctx_b``, puts the activity in front and removes WikiHow's brackets.
The local file is cleaned in the same way, but for the capital: there the unfinished last sentence is ``ctx_b``.
"""

import re

from clada_neuro.evaluation.tasks.task import Hub, Item, Row, Task


def clean(text: str) -> str:
    """Remove WikiHow's markup as the harness does."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def with_capital(query: str) -> str:
    """Capitalise the unfinished sentence at the end of a query, if there is one."""
    finished = re.match(r"""(?s).*[.!?]["')]*\s+(?=[^.!?]*[^.!?"')]$)""", query)
    if finished is None:
        return query
    return finished.group() + query[finished.end() :].capitalize()


def local(row: Row) -> Item:
    """Return the item of a row with query, choices and gold."""
    return Item.choice(
        clean(with_capital(row["query"])), [clean(text) for text in row["choices"]], row["gold"]
    )


def from_hub(row: Row) -> Item:
    """Return the item of a row with activity_label, ctx_a, ctx_b, endings and label."""
    context = f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}"
    return Item.choice(clean(context), [clean(text) for text in row["endings"]], int(row["label"]))


TASK = Task(
    "hellaswag",
    "acc_norm",
    "hellaswag_val.jsonl",
    local,
    Hub("Rowan/hellaswag", None, "validation"),
    from_hub,
)
