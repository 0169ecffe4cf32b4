"""WinoGrande (Sakaguchi et al. 2019): which name fills the blank.

Partial scoring (Trinh & Le 2018): each option is put into the context, and what follows the blank is scored.
"""

from clada_neuro.evaluation.tasks.task import Hub, Item, Row, Task


def item(row: Row) -> Item:
    """Return the item of a row with sentence (holding ``_``), option1, option2 and answer (1 or 2)."""
    before, _, after = row["sentence"].partition("_")
    contexts = (before + row["option1"], before + row["option2"])
    return Item(contexts, (after.strip(),) * 2, int(row["answer"]) - 1)


TASK = Task(
    "winogrande",
    "acc",
    "validation.jsonl",
    item,
    Hub("allenai/winogrande", "winogrande_xl", "validation"),
    item,
)
