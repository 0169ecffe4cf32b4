"""LAMBADA (Paperno et al. 2016, OpenAI's version): the last word of a passage.

An item is right when every token of the word is the model's most probable one; its log-probability gives perplexity.
"""

from clada_neuro.evaluation.tasks.task import Hub, Item, Local, Row, Task, lines_of
from clada_neuro.stimuli.registry import Source


def item(text: str) -> Item:
    """Return the item of a passage: the context up to its last space, and the word after it."""
    context, _, word = text.rpartition(" ")
    return Item.choice(context, [word], 0)


def local(row: Row) -> Item:
    """Return the item of a row with context and continuation."""
    return item(f"{row['context']} {row['continuation']}")


def from_hub(row: Row) -> Item:
    """Return the item of a row with text."""
    return item(row["text"])


SOURCE = Source.benchmark(
    "lambada",
    url="https://raw.githubusercontent.com/mosaicml/llm-foundry/8c8dd48f72168c5d51e2f7b151595892a8fba43d/",
    licence="CC BY 4.0 (per huggingface/datasets card @040102f) ; passages from BookCorpus novels",
    citation="Paperno et al. 2016, LAMBADA, ACL (OpenAI detokenised version: Radford et al. 2019)",
    files={
        "llmfoundry_lambada_openai.jsonl": {
            "path": "scripts/eval/local_data/language_understanding/lambada_openai.jsonl",
            "sha256": "411bfbe5b9054346b6a19299c0242670adbefb9162efd958593cbc0290b8c9dc",
        },
    },
)
DECLARED = [
    Task(
        name="lambada",
        place=80,
        metric="acc",
        chance=0.0,
        local=Local(SOURCE, lines_of("llmfoundry_lambada_openai.jsonl"), local),
        hub=Hub("EleutherAI/lambada_openai", "default", "test", from_hub),
    )
]
