"""Averages: one Evoked per subject and group, their grand averages, waveforms, topographies and paired differences.

Evokeds are used as they were saved. Where their authors corrected the baseline, by regression or by subtraction,
that is not done again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mne
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from clada_neuro.erp.channels import directions, eeg_channels, find_roi, has_position
from clada_neuro.erp.components import Component, get_component
from clada_neuro.erp.epochs import MICROVOLTS, check_units, window_mean
from clada_neuro.erp.layout import check_finite
from clada_neuro.erp.pairing import Groups, paired
from clada_neuro.erp.quiet import quiet
from clada_neuro.errors import AlignmentError, DataError


@dataclass(frozen=True)
class PairedDifference:
    """A component's difference between two conditions over subjects, µV.

    Attributes
    ----------
    first, second
        Names of the conditions; the difference is first − second.
    channels, window
        Electrodes averaged, and the window in words.
    n, mean_uv, sd_uv
        Subjects, mean and SD of their differences.
    t, df, p
        Two-sided paired t test.
    ci_low, ci_high
        95 % confidence interval of the mean difference, µV.
    amplitudes
        One row per subject: ``subject``, a column per condition, ``difference_uv``.
    notes
        Channels used and how subjects were paired.
    """

    component: str
    first: str
    second: str
    channels: tuple[str, ...]
    window: str
    n: int
    mean_uv: float
    sd_uv: float
    t: float
    df: float
    p: float
    ci_low: float
    ci_high: float
    amplitudes: pd.DataFrame
    notes: list[str]

    def row(self) -> dict[str, object]:
        """Return the test as a row of a table, without the subjects."""
        names = (
            "component",
            "window",
            "first",
            "second",
            "n",
            "mean_uv",
            "sd_uv",
            "ci_low",
            "ci_high",
            "t",
            "df",
            "p",
        )
        return {name: getattr(self, name) for name in names} | {"channels": " ".join(self.channels)}

    def __repr__(self) -> str:
        return (
            f"{self.component}, {self.first} − {self.second}: {self.mean_uv:.2f} µV, "
            f"95 % CI [{self.ci_low:.2f}, {self.ci_high:.2f}], t({self.df:.0f}) = {self.t:.2f}, p = {self.p:.4f}, "
            f"{self.n} subjects"
        )


def read_evokeds(path: str | Path) -> list[mne.Evoked]:
    """Read every average of a FIF file, baseline untouched.

    Raises
    ------
    DataError
        When the file is missing or holds no averages in volts.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"evoked file '{path}' does not exist")
    try:
        evokeds = mne.read_evokeds(path, proj=False, verbose="error")
    except (ValueError, OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"'{path}' holds no readable averages ({reason}); an *-ave.fif file was expected"
        ) from error
    if not evokeds:
        raise DataError(f"'{path}' holds no averages; an *-ave.fif file was expected")
    for evoked in evokeds:
        good = [name for name in eeg_channels(evoked.info) if name not in evoked.info["bads"]]
        who = f"'{path.name}', average '{evoked.comment}'"
        check_finite(who, evoked, good)
        check_units(evoked.get_data(picks=good)[None], who)
    return evokeds


def amplitudes(evokeds: Sequence[mne.Evoked], component: str | Component) -> NDArray[np.float64]:
    """Return each average's mean in the component's window and electrodes, µV, shape (n_evokeds,)."""
    chosen = get_component(component)
    values = []
    for evoked in evokeds:
        _check_window(evoked, chosen)
        picked = evoked.get_data(picks=list(find_roi(evoked.info, chosen).channels))
        values.append(window_mean(picked[None], evoked.times, chosen.tmin, chosen.tmax)[0])
    return MICROVOLTS * np.array(values)


def paired_difference(
    groups: Groups, component: str | Component, *, in_order: bool = False
) -> PairedDifference:
    """Test the difference between two groups of subject averages.

    Subjects are paired by the recordings' ``his_id``, by their order only where the caller says so (see `pairing.paired`).

    Parameters
    ----------
    groups
        Two conditions, the first minus the second, each with one Evoked per subject.
    component
        Preset name or `Component`.
    in_order
        Whether averages that do not name their subjects stand in the same order in both conditions.

    Raises
    ------
    AlignmentError
        As `pairing.paired`.
    """
    chosen = get_component(component)
    first, second = _two(groups)
    subjects, ordered, how = paired(groups, in_order)
    one, two = ordered.values()
    table = pd.DataFrame(
        {"subject": subjects, first: amplitudes(one, chosen), second: amplitudes(two, chosen)}
    )
    table["difference_uv"] = table[first] - table[second]
    test = stats.ttest_rel(table[first], table[second])
    low, high = test.confidence_interval(0.95)
    roi = find_roi(one[0].info, chosen)
    notes = [*roi.notes, f"{chosen.name}: mean of {', '.join(roi.channels)}, {chosen.window}", how]
    difference = table["difference_uv"]
    return PairedDifference(
        chosen.name,
        first,
        second,
        roi.channels,
        chosen.window,
        len(table),
        float(difference.mean()),
        float(difference.std()),
        float(test.statistic),
        float(test.df),
        float(test.pvalue),
        float(low),
        float(high),
        table,
        notes,
    )


@quiet
def differences(groups: Groups, *, in_order: bool = False) -> list[mne.Evoked]:
    """Return each subject's first condition minus the second, paired as in `paired_difference`."""
    _two(groups)
    subjects, ordered, _ = paired(groups, in_order)
    one, two = ordered.values()
    for subject, *pair in zip(subjects, one, two, strict=True):
        _refuse_unlike(
            {f"subject '{subject}' in '{name}'": part for name, part in zip(groups, pair, strict=True)}
        )
    return [mne.combine_evoked(list(pair), weights=[1, -1]) for pair in zip(one, two, strict=True)]


@quiet
def grand_averages(groups: Groups) -> dict[str, mne.Evoked]:
    """Return each group's mean over subjects with equal weight; the group's name is the comment.

    A channel that is bad in any of a group's averages is bad in their mean.

    Raises
    ------
    AlignmentError
        When averages differ in channels, or in the time they cover.
    """
    averages = {}
    for name, evokeds in groups.items():
        _refuse_unlike(_numbered(name, evokeds))
        averages[name] = mne.grand_average(list(evokeds), interpolate_bads=False, drop_bads=False)
        averages[name].comment = name
        averages[name].info["bads"] = sorted({bad for evoked in evokeds for bad in evoked.info["bads"]})
    return averages


def waveforms(groups: Groups, component: str | Component) -> pd.DataFrame:
    """Return the component's electrodes over time: group, time_s, mean_uv, ci_low, ci_high, n_subjects.

    The interval is the 95 % t interval over subjects at each sample, not corrected for their number.

    Raises
    ------
    AlignmentError
        When averages of a group differ in the time they cover.
    """
    frames = []
    for name, evokeds in groups.items():
        _refuse_unlike(_numbered(name, evokeds), channels=False)
        roi = [list(find_roi(evoked.info, get_component(component)).channels) for evoked in evokeds]
        pairs = zip(evokeds, roi, strict=True)
        curves = MICROVOLTS * np.array([evoked.get_data(picks=picks).mean(axis=0) for evoked, picks in pairs])
        mean = curves.mean(axis=0)
        half = stats.t.ppf(0.975, len(curves) - 1) * stats.sem(curves, axis=0) if len(curves) > 1 else np.nan
        frame = pd.DataFrame(
            {"time_s": evokeds[0].times, "mean_uv": mean, "ci_low": mean - half, "ci_high": mean + half}
        )
        frames.append(frame.assign(group=name, n_subjects=len(curves)))
    return pd.concat(frames, ignore_index=True)[
        ["group", "time_s", "mean_uv", "ci_low", "ci_high", "n_subjects"]
    ]


def topographies(groups: Groups, component: str | Component) -> pd.DataFrame:
    """Return the scalp distribution in the component's window: group, channel, x, y, amplitude_uv.

    x and y lie in a head circle of radius 1 seen from above, nose along +y: the angle from the vertex over 90°
    (azimuthal equidistant); missing without electrode positions.
    """
    chosen = get_component(component)
    frames = []
    for name, average in grand_averages(groups).items():
        _check_window(average, chosen)
        channels = [average.ch_names[pick] for pick in mne.pick_types(average.info, eeg=True, exclude="bads")]
        window = average.copy().crop(chosen.tmin, chosen.tmax).get_data(picks=channels)
        frame = pd.DataFrame({"group": name, "channel": channels})
        frame[["x", "y"]] = seen_from_above(average.info, channels)
        frames.append(frame.assign(amplitude_uv=MICROVOLTS * window.mean(axis=1)))
    return pd.concat(frames, ignore_index=True)


def seen_from_above(info: mne.Info, channels: list[str]) -> NDArray[np.float64]:
    """Return x and y of electrodes (n, 2) as in `topographies`, missing without positions."""
    places = np.array([info["chs"][info["ch_names"].index(name)]["loc"][:3] for name in channels])
    if not all(has_position(info["chs"][info["ch_names"].index(name)]) for name in channels):
        return np.full((len(channels), 2), np.nan)
    vectors = directions(places)
    angle = np.arccos(vectors[:, 2]) / (np.pi / 2)
    flat = vectors[:, :2]
    return angle[:, None] * flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)


def _check_window(average: mne.Evoked, component: Component) -> None:
    if not component.within(average.tmin, average.tmax):
        raise DataError(
            f"the {component.name} window ({component.window}) lies outside the average "
            f"({1e3 * average.tmin:g}–{1e3 * average.tmax:g} ms); move the window"
        )


def _numbered(group: str, evokeds: Sequence[mne.Evoked]) -> dict[str, mne.Evoked]:
    return {f"average {number} of '{group}'": evoked for number, evoked in enumerate(evokeds, start=1)}


def _refuse_unlike(averages: Mapping[str, mne.Evoked], channels: bool = True) -> None:
    """Refuse averages that cannot be stacked: MNE would drop what some lack, in silence, or fail."""
    (first, one), *others = averages.items()
    for name, other in others:
        if channels and (odd := sorted(set(one.ch_names) ^ set(other.ch_names))):
            raise AlignmentError(
                f"{first} and {name} differ in channel {', '.join(odd[:5])}; pick those that all have "
                "(mne.channels.equalize_channels)"
            )
        if len(one.times) != len(other.times) or not np.allclose(one.times, other.times, atol=1e-6):
            spans = [
                f"{1e3 * part.tmin:g} to {1e3 * part.tmax:g} ms, {len(part.times)} samples"
                for part in (one, other)
            ]
            raise AlignmentError(
                f"{first} ({spans[0]}) and {name} ({spans[1]}) differ in time; crop or resample them alike"
            )


def _two(groups: Groups) -> tuple[str, str]:
    if len(groups) != 2:
        raise DataError(
            f"{len(groups)} conditions arrived ({', '.join(groups)}); a paired difference needs two"
        )
    first, second = groups
    return first, second
