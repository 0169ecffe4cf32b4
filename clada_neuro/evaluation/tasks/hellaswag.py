"""HellaSwag (Zellers et al. 2019): the most plausible ending of a description.

The harness joins ``ctx_a`` with the capitalised ``ctx_b``, puts the activity in front and removes WikiHow's brackets.
The local file is cleaned in the same way, but for the capital: there the unfinished last sentence is ``ctx_b``.
"""

import re

from clada_neuro.evaluation.tasks.task import Hub, Item, Local, Row, Task, lines_of
from clada_neuro.stimuli.registry import Source


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


SOURCE = Source.benchmark(
    "hellaswag",
    url="https://raw.githubusercontent.com/klosax/hellaswag_text_data/1105d370f8340eac3c63a91fd1fa58e8999f9505/",
    licence="MIT (repo LICENSE of rowanz/hellaswag)",
    citation="Zellers et al. 2019, HellaSwag, ACL",
    files={
        "hellaswag_val.jsonl": {
            "path": "hellaswag_val_full.txt.bz2",
            "sha256": "a493a7d5e35ad9cb73213d4323c98a497cd635b506b82fac8e567942de9eb139",
            "derived": "the bz2 text (per item: context, label, four endings) as query, choices and gold, one JSON object a line",
        },
    },
)
DECLARED = [
    Task(
        name="hellaswag",
        place=10,
        metric="acc_norm",
        chance=0.25,
        local=Local(SOURCE, lines_of("hellaswag_val.jsonl"), local),
        hub=Hub("Rowan/hellaswag", None, "validation", from_hub),
    )
]
