"""What can be chosen in each analysis: the options of its command and the settings on its page.

A light module: the command line reads it without loading a model's libraries.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from clada_neuro.artifacts import package_data
from clada_neuro.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from clada_neuro.stats.specification import Analysis
    from clada_neuro.stats.steps import LadderSpecification

_CORPORA = ("xsum", "c4_sample")


def _setting(default: Any, text: str, *, least: int | None = None, choices: tuple[str, ...] = ()) -> Any:
    """Return a field that describes itself; `least` is the smallest number allowed."""
    return field(default=default, metadata={"help": text, "least": least, "choices": choices})


@dataclass(frozen=True)
class PrefixSettings:
    """Of the prefix analysis; positions count from 0."""

    pairs: int = _setting(400, "Pairs of each kind of sequence at each distance.", least=16)
    position: int = _setting(64, "Compared token, from 0.", least=2)
    distances: tuple[int, ...] = _setting((1, 4, 16), "Differing tokens before it; may be repeated.", least=1)
    corpus: str = _setting("xsum", "Natural text.", choices=_CORPORA)
    bootstrap: int = _setting(1000, "Replicates over pairs.", least=0)
    seed: int = _setting(0, "Seed of everything random.")

    def __post_init__(self) -> None:
        """Refuse a parting before the first token."""
        for distance in self.distances:
            if not 0 < distance < self.position:
                raise DataError(
                    f"distance {distance} and position {self.position} given; a distance must lie between 0 and it"
                )


@dataclass(frozen=True)
class AdaptationSettings:
    """Of the adaptation analysis; the model of all layers uses the first `pooled` sequences."""

    sequences: int = _setting(300, "Sequences of each kind.", least=4)
    scored: int = _setting(128, "Scored tokens of a sequence.", least=16)
    pooled: int = _setting(50, "Sequences of the model of all layers.", least=2)
    corpus: str = _setting("xsum", "Natural text.", choices=_CORPORA)
    bootstrap: int = _setting(1000, "Replicates over sequences.", least=0)
    seed: int = _setting(0, "Seed of everything random.")


@dataclass(frozen=True)
class HumanSettings:
    """Of the human analysis."""

    analysis: str | None = _setting(
        None, "A pre-specified analysis (TOML) [default: data/analyses/human.toml]."
    )
    questions: tuple[str, ...] = _setting((), "One response; may be repeated [default: all].")
    limit: int | None = _setting(None, "Only the first N items, to try things out.", least=4)
    folds: int | None = _setting(None, "Folds of items [default: the analysis's own].", least=2)
    bootstrap: int | None = _setting(None, "Replicates for products [default: the question's own].", least=0)
    sparsity: float = _setting(0.4, "Of the exploratory traces under CLADA and its controls.")
    seed: int = _setting(0, "Seed of everything random.")
    jobs: int = _setting(1, "Bootstrap processes.", least=1)

    def __post_init__(self) -> None:
        """Refuse a question that is not there."""
        _ = self.asked

    @cached_property
    def specified(self) -> "Analysis":
        """The analysis as it was decided in advance.

        Raises
        ------
        CladaNeuroError
            When its file cannot be used, or holds what is not climbed.
        """
        from clada_neuro.stats.analysis_file import read_analysis
        from clada_neuro.stats.specification import Analysis

        path = self.analysis or package_data("analyses", "human.toml")
        found = read_analysis(path)
        plain = Analysis(
            found.title, (), language_models=found.language_models, ladders=found.ladders, folds=found.folds
        )
        if found != plain or not found.ladders:
            raise DataError(
                f"'{path}': title, language_models, folds, [[ladder]] and [[step]] are followed here; `clada-neuro run --analysis "
                "FILE` follows the rest"
            )
        return found

    @cached_property
    def asked(self) -> "list[LadderSpecification]":
        """The ladders of the questions asked, all of them where none is named."""
        ladders = {ladder.name: ladder for ladder in self.specified.ladders}
        for name in self.questions:
            if name not in ladders:
                hint, known = did_you_mean(name, list(ladders)), ", ".join(ladders)
                raise DataError(f"no question '{name}'{hint}; there are {known}")
        return [ladders[name] for name in self.questions or ladders]

    def departures(self, model: str) -> list[str]:
        """Name everything in which a run with `model` differs from the specified analysis."""
        specified, asked = self.specified, {ladder.name for ladder in self.asked}
        lines = [
            f"question '{ladder.name}' was specified but not asked"
            for ladder in specified.ladders
            if ladder.name not in asked
        ]
        if self.limit is not None:
            lines.append(f"only the first {self.limit} items of each data set were used")
        if self.folds not in (None, specified.folds):
            lines.append(f"{self.folds} folds used, {specified.folds} specified")
        for ladder in self.asked:
            if self.bootstrap not in (None, ladder.bootstrap):
                lines.append(
                    f"{ladder.name}: {self.bootstrap} replicates drawn, {ladder.bootstrap} specified"
                )
        if specified.language_models and model not in specified.language_models:
            lines.append(f"language model '{model}' used, {', '.join(specified.language_models)} specified")
        return lines
