"""The content of ``maps.json``: what was fitted at every electrode and moment, and which clusters differ from zero."""

from collections.abc import Callable, Iterator
from typing import ClassVar

from clada_neuro.numerals import p_text
from clada_neuro.records.record import Document, Part


class MapCluster(Part, frozen=True, kw_only=True):
    """Neighbouring electrodes and moments whose effect differs from zero: sign, time limits in ms (not tested themselves), p."""

    term: str
    sign: int
    from_ms: float
    to_ms: float
    n_channels: int
    p: float

    def in_words(self) -> str:
        """Return ``negative from 300 to 480 ms at 12 electrodes, p = .001``."""
        at = f"{self.n_channels} electrode{'s' * (self.n_channels != 1)}"
        return f"{'negative' if self.sign < 0 else 'positive'} from {self.from_ms:.0f} to {self.to_ms:.0f} ms at {at}, {p_text(self.p)}"


class MapsRecord(Document, frozen=True, kw_only=True):
    """Formula, counts and null of mixed-model maps.

    Attributes
    ----------
    baseline : str
        ``covariate``, ``subtract`` or ``none``.
    cluster_forming_p : float
        Of a point, two-sided.
    singular : float
        Share of electrodes and moments at which a variance is zero.
    n_lost : int or None
        Epochs without a word of the table, or without a value of every predictor. None in files of earlier versions, like
        the fields below.
    terms, clusters
        The coefficients that are mapped, and their clusters with p < .05.
    left_out : str or None
        Why a study that was asked for maps has none; all else is empty then.
    """

    CURRENT: ClassVar[int] = 1

    formula: str = ""
    n_subjects: int = 0
    n_epochs: int = 0
    n_stimuli: int = 0
    simulated: bool = False
    baseline: str = "none"
    fitted: str = ""
    null: str = ""
    cluster_forming_p: float = 0.05
    singular: float = 0.0
    seed: int = 0
    notes: list[str] = []
    n_lost: int | None = None
    n_channels: int | None = None
    n_moments: int | None = None
    n_draws: int | None = None
    terms: list[str] = []
    clusters: list[MapCluster] = []
    trace: str | None = None
    left_out: str | None = None
    inputs: str | None = None

    def findings(self, name: Callable[[str], str] = str) -> Iterator[str]:
        """Yield a line on each term, by its name: its clusters, or that there are none."""
        for term in self.terms:
            found = [cluster.in_words() for cluster in self.clusters if cluster.term == term]
            yield f"{name(term)}: {'; '.join(found) or 'no cluster with p < .05'}"
