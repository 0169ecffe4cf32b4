"""What the results do not show: the general limits, and those of this run."""

from collections.abc import Iterator

from clada_neuro.reporting.blocks import Block, Points
from clada_neuro.reporting.prose import language_models, policy_name
from clada_neuro.reporting.registry import Declared
from clada_neuro.reporting.results import Results

_ALWAYS = (
    "Regressions on traces show that a model's measure goes along with amplitudes; they do not show that the brain "
    "computes it.",
    "Predictors of the language model vary over stimuli, not over trials: their evidence grows with the number of "
    "stimuli.",
)


def blocks(results: Results) -> Iterator[Block]:
    """Yield the limits, those of this run first."""
    yield Points(limits(results))


def limits(results: Results) -> list[str]:
    """Return the limits as sentences, those of this run first."""
    found = []
    if results.simulated:
        found.append(
            "The responses are simulated: effects were put in and say nothing about people. They show that the "
            "pipeline finds what was put in."
        )
    if policy_name(results.manifest) != "dense":
        found.append(
            "Under a policy that follows surprisal, sparsity and adjustment are functions of surprisal by "
            "construction; their interaction is exploratory here. Confirm with dense traces."
        )
    if results.missing:
        files = ", ".join(sorted(results.missing))
        found.append(f"Not in this folder, and so not in this report: {files}.")
    count = len(language_models(results.manifest))
    source = f"{count} models" if count > 1 else "one model"
    found.append(f"Values come from {source}. Another size, tokenizer or training text may give others.")
    return [*found, *_ALWAYS]


SECTION = Declared("limits", "Limits", 1600, blocks)
