"""The content of a question's ``manifest.json``: which analysis, with which settings and model."""

from typing import Any, ClassVar

from clada_neuro.records.manifest import ModelFacts
from clada_neuro.records.record import Document


class QuestionRecord(Document, frozen=True, kw_only=True):
    """How one of the paper's questions was answered.

    Attributes
    ----------
    settings : dict
        The options of its command.
    versions : dict
        Packages and their versions.
    """

    CURRENT: ClassVar[int] = 1

    analysis: str
    settings: dict[str, Any]
    model: ModelFacts
    versions: dict[str, str] = {}
