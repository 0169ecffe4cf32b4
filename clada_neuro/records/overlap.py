"""The content of ``overlap.json``: how overlapping responses were taken apart, or why they were not."""

from typing import ClassVar

from clada_neuro.records.record import Document, Part


class OverlapSubject(Part, frozen=True, kw_only=True):
    """One subject's fit.

    Attributes
    ----------
    seconds : dict
        Seconds of the recordings by use: ``estimated from``, and the reasons for which the others were left out.
    condition : float or None
        Condition number of the design.
    inflation : dict
        By response, how many times overlap enlarges its variance at its worst moment.
    penalty : float or None
        Of a ridge.
    """

    seconds: dict[str, float]
    condition: float | None
    inflation: dict[str, float | None]
    notes: list[str]
    recordings: list[str] = []
    channels: list[str] = []
    penalty: float | None = None
    n_blocks: int | None = None


class ItemWords(Part, frozen=True, kw_only=True):
    """The by-item check.

    Attributes
    ----------
    words : dict
        Number of words of all subjects by what became of them.
    left_out : str or None
        Why there is none.
    """

    words: dict[str, int] = {}
    left_out: str | None = None


class EventFormula(Part, frozen=True, kw_only=True):
    """The formula of one type of event; its response lasts from `tmin` to `tmax`, in seconds, over splines or sample by sample."""

    event: str
    formula: str
    tmin: float | None = None
    tmax: float | None = None
    splines: int | None = None


class EventOutcome(Part, frozen=True, kw_only=True):
    """How many events of a kind, over all subjects, came to an outcome at a stage."""

    stage: str
    event: str
    outcome: str
    n: int


class OverlapRecord(Document, frozen=True, kw_only=True):
    """Models of the events, what was asked for, and each subject's fit.

    Attributes
    ----------
    left_out : str or None
        Why a study has none; all else is empty then.
    seconds_used, worst_inflation, worst_condition : float or None
        Seconds of all recordings that entered; largest values of all subjects. None in files of earlier versions.
    outcomes : list of EventOutcome
        What became of the recordings' events and words.
    by_item : ItemWords or None
        None with one subject.
    """

    CURRENT: ClassVar[int] = 1

    left_out: str | None = None
    models: list[EventFormula] = []
    subjects: dict[str, OverlapSubject] = {}
    delay_s: float = 0.0
    soa_s: float | None = None
    ridge: bool = False
    n_permutations: int = 0
    seed: int = 0
    tfce: bool = False
    epochs: bool = False
    seconds_used: float | None = None
    worst_inflation: float | None = None
    worst_condition: float | None = None
    outcomes: list[EventOutcome] = []
    notes: list[str] = []
    by_item: ItemWords | None = None
    inputs: str | None = None
