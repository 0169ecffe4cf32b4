"""How every analysis is run: a model, settings and a place to keep finished parts go in, a page comes out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from clada_neuro.artifacts import output_folder
from clada_neuro.models.loading import EMBEDDED, LanguageModel, load_model
from clada_neuro.questions.page import Answer
from clada_neuro.stage import Stage

S = TypeVar("S")
Progress = Callable[[str], None]
Analysis = Callable[[LanguageModel, S, Path, Progress], Answer]


@dataclass(frozen=True)
class QuestionStage(Stage[Path]):
    """Answer one of the paper's questions, as `run` does."""

    name = "question"
    files = (
        "prefix.html", "prefix.md", "prefix_*.png", "adaptation.html", "adaptation.md", "adaptation_*.png", "human.html", "human.md",
        "human_*.png", "cells.csv", "layers.csv", "models.csv", "coefficients.csv", "levels.csv", "steps.csv", "random.csv", "facts.csv",
        "policies.csv", "manifest.json",
    )  # fmt: skip
    parts = ("work/*",)

    analysis: Analysis[Any]
    settings: Any
    model: str | LanguageModel
    loading: Mapping[str, Any]
    work: Path | None
    progress: Progress

    def make(self, folder: Path) -> Path:
        """Compute what is not there yet, and write the page."""
        model = (
            self.model if isinstance(self.model, LanguageModel) else load_model(self.model, **self.loading)
        )
        work = output_folder(self.work or folder / "work")
        return self.analysis(model, self.settings, work, self.progress).write(folder)


def run(
    analysis: Analysis[S],
    settings: S,
    out: str | Path,
    *,
    model: str | LanguageModel = EMBEDDED,
    loading: Mapping[str, Any] | None = None,
    work: str | Path | None = None,
    progress: Progress = lambda line: None,
) -> Path:
    """Run an analysis and return the path of its page.

    Parameters
    ----------
    analysis : callable
        `prefix.prefix`, `adaptation.adaptation` or `human.human`.
    settings
        Of that analysis: see `clada_neuro.questions.settings`.
    out : path
        Folder of the page, the figure and the small tables.
    loading : mapping, optional
        How a model given by name is loaded, as the keywords of `clada_neuro.load_model`.
    work : path, optional
        Where finished parts are kept, so that the same call resumes; ``out/work`` by default.

    Raises
    ------
    CladaNeuroError
        When a data set or corpus is missing or too small, or a model cannot be fitted.
    """
    kept = None if work is None else Path(work)
    return QuestionStage(analysis, settings, model, loading or {}, kept, progress).into(out)
