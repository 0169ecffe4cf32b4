"""How amplitudes are measured in epochs: components, baseline, and the time from word to word."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from clada_neuro.erp.components import N400, P600, PRESETS, Component, get_components
from clada_neuro.errors import DataError

Baseline = Literal["covariate", "subtract", "none"]


@dataclass(frozen=True)
class Measurement:
    """What `epochs.epochs_to_trials` is asked for; its attributes are that function's arguments.

    Attributes
    ----------
    components
        Windows and electrodes.
    baseline
        ``covariate`` makes it a column, ``subtract`` subtracts it, ``none`` leaves it.
    baseline_window
        Seconds; None is the start of the epoch.
    soa
        Seconds from a word to the next; None when words did not follow each other.
    """

    components: tuple[Component, ...] = (N400, P600)
    baseline: Baseline = "covariate"
    baseline_window: tuple[float | None, float] = (None, 0.0)
    soa: float | None = None

    @classmethod
    def specified(
        cls,
        names: Iterable[str],
        *,
        window_ms: Mapping[str, tuple[float, float]],
        roi: Mapping[str, Sequence[str]],
        baseline: Baseline | None = None,
        baseline_ms: tuple[float, float] | None = None,
        soa_ms: float | None = None,
    ) -> "Measurement":
        """Return presets by name, changed where a specification in milliseconds says so.

        Raises
        ------
        DataError
            For windows or electrodes of a component that is not measured, a name that is no preset and lacks one
            of the two, and overlapping windows.
        """
        chosen = list(names)
        if strange := sorted({*window_ms, *roi} - {*chosen}):
            raise DataError(
                f"a window or electrodes for component '{strange[0]}' were given, but the analysis measures "
                f"{', '.join(chosen)}"
            )
        components = get_components(_component(name, window_ms.get(name), roi.get(name)) for name in chosen)
        window = (1e-3 * baseline_ms[0], 1e-3 * baseline_ms[1]) if baseline_ms else (None, 0.0)
        return cls(components, baseline or "covariate", window, 1e-3 * soa_ms if soa_ms else None)


def _component(name: str, window: tuple[float, float] | None, electrodes: Sequence[str] | None) -> Component:
    preset = PRESETS.get(name)
    if preset is None and (window is None or electrodes is None):
        raise DataError(
            f"there is no preset for component '{name}'; give its window and electrodes "
            f"(--window {name}=START-END --roi {name}=Cz,Pz, or [epochs] in the analysis)"
        )
    # What is not given is the preset's; a name without preset has given both.
    base = preset or Component(name, 0.0, 1.0, ("Cz",), 1 if name.startswith("p") else -1)
    start, end = (1e-3 * window[0], 1e-3 * window[1]) if window else (base.tmin, base.tmax)
    roi, needed = (tuple(electrodes), None) if electrodes else (base.roi, base.min_channels)
    return Component(name, start, end, roi, base.sign, needed)
