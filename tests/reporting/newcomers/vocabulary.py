"""How many different words were read, one a condition."""

from clada_neuro.reporting.blocks import Headed, Paragraph, Typed
from clada_neuro.reporting.figures import draw
from clada_neuro.reporting.page_tables import table
from clada_neuro.reporting.registry import Declared


def _counts(results):
    words = results.tables["words"].merge(results.tables["stimuli"][["stimulus_id", "condition"]])
    return words.groupby("condition")["word"].nunique()


def blocks(results):
    counts = _counts(results)
    yield Paragraph((f"{counts.sum()} words & their conditions; see ", Typed("clada-neuro trace"), "."))
    yield table("vocabulary", "Different words by condition.", counts.rename("words").reset_index())
    figure = draw(
        "vocabulary",
        "Different words.",
        "Bars of words.",
        lambda axes: axes.bar(counts.index, counts),
        (4, 3),
    )
    yield Headed("As bars", [figure])


SECTION = Declared("vocabulary", "Vocabulary", 150, blocks, shown=lambda results: "words" in results.tables)
