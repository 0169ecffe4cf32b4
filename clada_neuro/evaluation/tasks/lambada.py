"""LAMBADA (Paperno et al. 2016, OpenAI's version): the last word of a passage.

An item is right when every token of the word is the model's most probable one; its log-probability gives perplexity.
"""

from clada_neuro.evaluation.tasks.task import Hub, Item, Row, Task


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


TASK = Task(
    "lambada",
    "acc",
    "llmfoundry_lambada_openai.jsonl",
    local,
    Hub("EleutherAI/lambada_openai", "default", "test"),
    from_hub,
)
