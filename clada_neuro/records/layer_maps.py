"""``layer_maps.json``: when each layer of a model speaks to the responses, and where on the scalp."""

from typing import ClassVar

from clada_neuro.numerals import p_text
from clada_neuro.records.record import Document, Part


class LayerCluster(Part, frozen=True, kw_only=True):
    """Neighbouring layers, moments and electrodes whose effect differs from zero; limits describe it and are not tested.

    ``p`` is of the test over subjects, ``p_both`` the larger of it and that over items.
    """

    sign: int
    layer_first: int
    layer_last: int
    from_ms: float
    to_ms: float
    n_channels: int
    p: float
    p_both: float

    def in_words(self) -> str:
        """Return ``negative in layers 3 to 9 from 300 to 480 ms, p = .001 over subjects, p = .004 over subjects and items``."""
        layers = (
            f"layer {self.layer_first}"
            if self.layer_first == self.layer_last
            else f"layers {self.layer_first} to {self.layer_last}"
        )
        return (
            f"{'negative' if self.sign < 0 else 'positive'} in {layers} from {self.from_ms:.0f} to {self.to_ms:.0f} ms, "
            f"{p_text(self.p)} over subjects, {p_text(self.p_both)} over subjects and items"
        )


class LayerLatency(Part, frozen=True, kw_only=True):
    """One layer: onset and peak in ms with 95 % intervals over subjects, and whether it has an effect."""

    layer: int
    onset_ms: float
    onset_ms_low: float
    onset_ms_high: float
    peak_ms: float
    peak_ms_low: float
    peak_ms_high: float
    peak_uv: float
    found: bool


class LayerCorrelation(Part, frozen=True, kw_only=True):
    """Spearman's correlation of layer and latency (``onset`` or ``peak``) over the layers that have an effect."""

    latency: str
    n_layers: int
    rho: float
    rho_low: float
    rho_high: float
    p: float

    def in_words(self) -> str:
        """Return ``onset: rho = .80 [.41, .93], p = .002, over 12 layers``."""
        return (
            f"{self.latency}: rho = {self.rho:.2f} [{self.rho_low:.2f}, {self.rho_high:.2f}], {p_text(self.p)}, over "
            f"{self.n_layers} layers"
        )


class MeasureMap(Part, frozen=True, kw_only=True):
    """One measure.

    Attributes
    ----------
    layers
        Those that were mapped.
    roi, electrodes
        Clusters over subjects with p < .05: of the mean over the electrodes named in the document, and of every electrode; None
        where electrodes have no positions.
    n_roi, n_electrodes
        How many clusters were tested.
    latencies, correlations
        By layer; of layers with an effect.
    """

    measure: str
    layers: list[int]
    n_subjects: int
    n_items: int
    n_epochs: int
    n_lost: int
    n_stimuli: int
    roi: list[LayerCluster]
    n_roi: int
    electrodes: list[LayerCluster] | None
    n_electrodes: int
    latencies: list[LayerLatency]
    correlations: list[LayerCorrelation]
    notes: list[str]

    def in_words(self) -> list[str]:
        """Return a line on the epochs, on the clusters that hold, and on latencies."""
        lost = f", {self.n_lost:,} without a word or a value left out (lost.parquet)" if self.n_lost else ""
        entered = (
            f"{self.measure}: {len(self.layers)} layers; {self.n_epochs:,} epochs of {self.n_subjects} subjects, {self.n_items} "
            f"items{lost}"
        )
        found = [cluster.in_words() for cluster in self.roi] or [f"no cluster with p < .05 of {self.n_roi}"]
        when = [one.in_words() for one in self.correlations] or [
            "no rank correlation of layer and latency: fewer than five layers have an effect"
        ]
        return [entered, *found, *when]


class LayerMapsRecord(Document, frozen=True, kw_only=True):
    """What was mapped, and how.

    Attributes
    ----------
    channels
        Electrodes whose mean is mapped over layers and time.
    baseline
        ``covariate``, ``subtract`` or ``none``.
    from_ms, to_ms
        Of the maps.
    trace
        The id of the trace that the words are of.
    """

    CURRENT: ClassVar[int] = 1

    controls: list[str]
    channels: list[str]
    baseline: str
    from_ms: float
    to_ms: float
    cluster_forming_p: float
    n_permutations: int
    n_bootstrap: int
    seed: int
    simulated: bool
    measures: list[MeasureMap]
    trace: str | None = None
    inputs: str | None = None
