"""The content of ``maps.json``: what was fitted at every electrode and moment."""

from typing import ClassVar

from clada_neuro.records.record import Document


class MapsRecord(Document, frozen=True, kw_only=True):
    """Formula, counts and null of mixed-model maps.

    Attributes
    ----------
    baseline : str
        ``covariate`` or ``none``.
    cluster_forming_p : float
        Of a point, two-sided.
    singular : float
        Share of electrodes and moments at which a variance is zero.
    """

    CURRENT: ClassVar[int] = 1

    formula: str
    n_subjects: int
    n_epochs: int
    n_stimuli: int
    simulated: bool
    baseline: str
    fitted: str
    null: str
    cluster_forming_p: float
    singular: float
    seed: int
    notes: list[str]
    inputs: str | None = None
