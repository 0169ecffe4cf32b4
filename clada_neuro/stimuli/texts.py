"""The texts of a stimulus table: sentences with their items, conditions and contexts, and what is said of critical words."""

from dataclasses import dataclass

from clada_neuro.stimuli.columns import Recognised
from clada_neuro.stimuli.keys import ONE_CONDITION
from clada_neuro.stimuli.marks import take_marks


@dataclass(frozen=True)
class Texts:
    """The texts of a table, an entry a row.

    `marked` are sentences as they are written, separators included, and `sentences` without. `critical` words and their
    `indices`, counted from `index_base`, are empty where a text has none; contexts where there is none.
    """

    items: list[str]
    conditions: list[str]
    contexts: list[str]
    marked: list[str]
    sentences: list[str]
    critical: list[str]
    indices: list[str]
    index_base: int | None

    def whole(self) -> list[str]:
        """Return what a model reads of each text."""
        return [
            f"{context} {sentence}" for context, sentence in zip(self.contexts, self.sentences, strict=True)
        ]


def texts_of(found: Recognised) -> Texts:
    """Return the texts of a table whose columns are known.

    Raises
    ------
    StimulusError
        An empty sentence, item or condition, or two marks in a sentence.
    """
    items, conditions = _labels(found)
    marked = found.cells("sentence")
    for position, values in enumerate(zip(marked, items, conditions, strict=True)):
        for name, value in zip(("sentence", "item", "condition"), values, strict=True):
            if not value.strip():
                raise found.table.error(position, f"the {name} is empty; every row needs one")
    critical, indices = found.stripped("critical_word"), found.stripped("critical_index")
    base = found.index_base
    if not {"critical_word", "critical_index"} & set(found.columns):
        marked, critical, indices = take_marks(found.table, marked, found.cutter)
        base = 0
    contexts, sentences, critical = (
        [found.cutter.text(text) for text in texts] for texts in (found.stripped("context"), marked, critical)
    )
    return Texts(items, conditions, contexts, marked, sentences, critical, indices, base)


def _labels(found: Recognised) -> tuple[list[str], list[str]]:
    """Return items and conditions; a table without them has an item a text, and one condition."""
    texts = found.stripped("stimulus_id")
    own = texts if "stimulus_id" in found.columns else [str(number) for number in range(1, len(texts) + 1)]
    return (
        found.stripped("item") if "item" in found.columns else own,
        found.stripped("condition") if "condition" in found.columns else [ONE_CONDITION] * len(texts),
    )
