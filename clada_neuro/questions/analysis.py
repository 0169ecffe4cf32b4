"""How every analysis is run: a model, settings and a place to keep finished parts go in, a page comes out."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from clada_neuro.artifacts import output_folder
from clada_neuro.models.loading import EMBEDDED, LanguageModel, load_model
from clada_neuro.questions.page import Answer

S = TypeVar("S")
Progress = Callable[[str], None]
Analysis = Callable[[LanguageModel, S, Path, Progress], Answer]


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
    if not isinstance(model, LanguageModel):
        model = load_model(model, **(loading or {}))
    return analysis(model, settings, output_folder(work or Path(out) / "work"), progress).write(out)
