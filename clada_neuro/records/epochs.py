"""The content of ``erp/erp.json``: what was done with the epochs."""

from typing import ClassVar

from clada_neuro.records.fits import ScaleFacts
from clada_neuro.records.record import OfTrials, Part


class MeasuredComponent(Part, frozen=True, kw_only=True):
    """A component as it was measured: seconds and the electrodes of these recordings."""

    name: str
    tmin: float
    tmax: float
    channels: list[str]
    roi: list[str] = []
    sign: int | None = None


class Reason(Part, frozen=True, kw_only=True):
    """How many epochs of how many subjects are missing for a reason."""

    reason: str
    subjects: int
    epochs: int


class EpochsRecord(OfTrials, frozen=True, kw_only=True):
    """Counts, components and notes of averages and regression ERPs; `reasons` of ``rejections`` and of ``lost`` epochs."""

    CURRENT: ClassVar[int] = 2

    n_subjects: int
    n_epochs: int
    components: list[MeasuredComponent]
    baseline: str
    n_permutations: int
    seed: int = 0
    simulated: bool = False
    n_stimuli: int | None = None
    predictors: dict[str, ScaleFacts] = {}
    notes: list[str] = []
    reasons: dict[str, list[Reason]] = {}
