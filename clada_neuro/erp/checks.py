"""What would end an analysis of epochs later, said before any long work."""

from collections.abc import Mapping

import mne

from clada_neuro.erp.components import Component
from clada_neuro.erp.epochs import epochs_to_trials
from clada_neuro.erp.layout import common_layout, flat_channels
from clada_neuro.erp.measurement import Measurement
from clada_neuro.erp.quiet import quiet
from clada_neuro.errors import DataError


@quiet
def check_recordings(recordings: Mapping[str, mne.BaseEpochs], measurement: Measurement) -> None:
    """Refuse recordings in which something cannot be measured, or that cannot be averaged over subjects.

    Messages are in the words of ``clada-neuro run``. One recording at a time is in memory.

    Raises
    ------
    DataError
        For windows outside the epochs, missing electrodes or metadata, wrong units, values that are not finite, flat channels,
        and sampling rates that differ.
    """
    layout = common_layout({f"subject '{subject}'": epochs for subject, epochs in recordings.items()})
    flat = {}
    for subject, epochs in recordings.items():
        _check_windows(subject, epochs, measurement.components)
        loaded = epochs.copy().load_data()
        epochs_to_trials({subject: loaded}, **vars(measurement))
        layout.check(f"subject '{subject}'", loaded)
        good = [name for name in layout.channels if name not in loaded.info["bads"]]
        flat[subject] = set(flat_channels(loaded, good))
    _check_flat(flat)


def _check_flat(flat: Mapping[str, set[str]]) -> None:
    """Refuse a channel that is flat in some subjects; one that is flat in all is the reference."""
    reference = set.intersection(*flat.values())
    for subject, channels in flat.items():
        if dead := sorted(channels - reference):
            raise DataError(
                f"subject '{subject}': channel {dead[0]} is flat, and not that of everybody; mark it bad (info['bads'])"
            )


def _check_windows(subject: str, epochs: mne.BaseEpochs, components: tuple[Component, ...]) -> None:
    """Refuse a window outside a subject's epochs, naming the components that can be had without it."""
    inside = [component.name for component in components if component.within(epochs.tmin, epochs.tmax)]
    for component in components:
        if component.name not in inside:
            alone = f"leave it out with --component {' or '.join(inside)}, " if inside else ""
            raise DataError(
                f"subject '{subject}': the {component.name} window ({component.window}) lies outside the epochs "
                f"({1e3 * epochs.tmin:g} to {1e3 * epochs.tmax:g} ms); {alone}move it with --window "
                f"{component.name}=START-END, or epoch the recording again"
            )
