"""``encoding.json``: how well vectors of words predict mean responses on items left out, beside their controls."""

from typing import Any, ClassVar

from clada_neuro.records.record import OfTrials, Part


class EncodingScore(Part, frozen=True, kw_only=True):
    """Vectors of one kind and layer: ``r`` with ``se`` over folds, ``p`` by exchange of items, and in the family of layers."""

    vectors: str
    layer: int | None
    r: float
    se: float
    p: float
    p_family: float | None


class Picked(Part, frozen=True, kw_only=True):
    """The layer that was best inside each fold, scored outside of it."""

    r: float
    se: float
    p: float
    layers: list[int]


class EncodedResponse(Part, frozen=True, kw_only=True):
    """One response: scores of all vectors, and the correlation that no vector can pass (``ceiling``, with its range).

    ``shuffled`` is what the states' largest r exceeds in 5 % of the exchanges of items.
    """

    response: str
    n_trials: int
    n_words: int
    n_items: int
    n_subjects: int
    ceiling: float | None
    ceiling_low: float | None
    ceiling_high: float | None
    scores: list[EncodingScore]
    chosen: Picked | None
    notes: list[str]
    shuffled: float | None = None


class CourseOfLayer(Part, frozen=True, kw_only=True):
    """Vectors of one kind and layer at every moment; p values hold for all layers and moments."""

    vectors: str
    layer: int | None
    r: list[float]
    p_family: list[float] | None


class CourseOfKind(Part, frozen=True, kw_only=True):
    """Vectors of one kind at every moment, by the layer that was best inside each fold; p values hold for all moments."""

    vectors: str
    r: list[float]
    se: list[float]
    p_family: list[float]


class Course(Part, frozen=True, kw_only=True):
    """A group of electrodes over time: scores of all vectors at every moment, the noise ceiling, and the exchanges of items."""

    components: list[str]
    channels: list[str]
    times_ms: list[float]
    step_ms: float
    baseline: str
    n_trials: int
    n_words: int
    n_items: int
    n_subjects: int
    ceiling: list[float | None]
    layers: list[CourseOfLayer]
    kinds: list[CourseOfKind]
    shuffled: float | None
    notes: list[str]


class EncodingRecord(OfTrials, frozen=True, kw_only=True):
    """All responses of a run, and how they were predicted."""

    CURRENT: ClassVar[int] = 1

    settings: dict[str, Any]
    model: str
    entries: list[EncodedResponse]
    notes: list[str]
    courses: list[Course] = []
