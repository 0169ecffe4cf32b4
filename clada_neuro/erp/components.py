"""ERP components: a time window, the electrodes it is measured at, and the sign it is expected to have.

The presets are for epochs only. Published trial tables carry their own windows and electrodes in the registry.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from clada_neuro.errors import DataError, did_you_mean


@dataclass(frozen=True)
class Component:
    """Where and when an ERP component is measured.

    Attributes
    ----------
    name
        Lower-case label; the amplitude column is ``<name>_uv``.
    tmin, tmax
        Window in seconds after word onset, both ends included.
    roi
        Electrodes in 10–20 or 10–10 names, averaged with equal weight.
    sign
        −1 for a negativity, +1 for a positivity; a label for reports, never applied to the data.
    min_channels
        How many of ``roi`` must be there; None for all (what a caller names must exist).
    """

    name: str
    tmin: float
    tmax: float
    roi: tuple[str, ...]
    sign: int
    min_channels: int | None = None

    def __post_init__(self) -> None:
        if not self.tmin < self.tmax:
            raise DataError(
                f"component '{self.name}': the window ends at {1e3 * self.tmax:g} ms, before it starts at "
                f"{1e3 * self.tmin:g} ms; give tmin < tmax in seconds"
            )
        if self.tmax > 10:
            raise DataError(
                f"component '{self.name}': a window up to {self.tmax:g} s arrived; give seconds, not milliseconds"
            )
        if isinstance(self.roi, str) or not self.roi:
            raise DataError(
                f"component '{self.name}': roi={self.roi!r} arrived; give a tuple of electrodes, as ('Cz', 'Pz')"
            )
        if self.sign not in (-1, 1):
            raise DataError(f"component '{self.name}': sign={self.sign} arrived; give -1 or 1")

    @property
    def column(self) -> str:
        """Name of the amplitude column, µV."""
        return f"{self.name}_uv"

    @property
    def baseline_column(self) -> str:
        """Name of the baseline covariate's column, µV."""
        return f"{self.name}_baseline_uv"

    def within(self, tmin: float, tmax: float) -> bool:
        """Return whether the whole window lies in epochs or averages that cover these seconds."""
        return tmin - 1e-6 <= self.tmin and self.tmax <= tmax + 1e-6

    @property
    def window(self) -> str:
        """Window as text, for messages and reports."""
        return f"{1e3 * self.tmin:g}–{1e3 * self.tmax:g} ms"


N400 = Component(
    "n400",
    0.3,
    0.5,
    ("C3", "C1", "Cz", "C2", "C4", "CP3", "CP1", "CPz", "CP2", "CP4", "P3", "P1", "Pz", "P2", "P4"),
    sign=-1,
    min_channels=3,
)
P600 = Component(
    "p600",
    0.6,
    0.9,
    ("CP3", "CP1", "CPz", "CP2", "CP4", "P3", "P1", "Pz", "P2", "P4", "PO3", "POz", "PO4"),
    sign=1,
    min_channels=3,
)
PRESETS = {component.name: component for component in (N400, P600)}


def get_component(spec: str | Component) -> Component:
    """Return the preset of that name; a `Component` is returned unchanged."""
    if isinstance(spec, Component):
        return spec
    if spec not in PRESETS:
        raise DataError(
            f"unknown component '{spec}'{did_you_mean(spec, list(PRESETS))}; known: {', '.join(PRESETS)}; "
            "or pass a Component with window and electrodes of your own"
        )
    return PRESETS[spec]


def get_components(specs: Iterable[str | Component]) -> tuple[Component, ...]:
    """Return the components, which must have distinct names and windows that share no time.

    Raises
    ------
    DataError
        When two components would share a column or samples.
    """
    components = tuple(get_component(spec) for spec in specs)
    for first, second in combinations(components, 2):
        if first.name == second.name:
            raise DataError(f"two components are called '{first.name}'; their columns need distinct names")
        if max(first.tmin, second.tmin) < min(first.tmax, second.tmax):
            raise DataError(
                f"the windows of '{first.name}' ({first.window}) and '{second.name}' ({second.window}) overlap, "
                "so their amplitudes would share samples; move one window or measure them in separate calls"
            )
    return components


def soa_warnings(components: Sequence[Component], soa: float | None) -> list[str]:
    """Return one line for each window that reaches past the next word's onset (``soa`` seconds)."""
    if soa is None:
        return []
    return [
        f"the {component.name} window ({component.window}) reaches past the next word's onset at "
        f"{1e3 * soa:g} ms, so it holds the response to that word too: add the previous and the next word's "
        "predictors (<predictor>_lag1, <predictor>_next) to the formula"
        for component in components
        if component.tmax > soa
    ]
