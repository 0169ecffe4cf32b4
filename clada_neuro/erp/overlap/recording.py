"""One recording of a fit: its samples in blocks, which of them are used, and an account of those that are not."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import mne
import numpy as np
from numpy.typing import NDArray

from clada_neuro.erp.channels import eeg_channels
from clada_neuro.erp.epochs import check_units
from clada_neuro.erp.overlap.events import EventCoding, Impulses
from clada_neuro.erp.overlap.expansion import Mask, Train, covered
from clada_neuro.errors import AlignmentError, DataError

Array = NDArray[np.float64]
_CUT = re.compile(r"(bad|edge)?[\s_]*boundary|new segment", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Recording:
    """A continuous recording with the events of each model, and the samples that enter.

    Attributes
    ----------
    who
        Its name in messages.
    raw, channels
        The recording and its EEG channels, bad ones included.
    trains
        Events by model.
    keep
        Whether a sample is used, shape (n_times,).
    left_out
        Seconds by reason.
    outside
        For each model the number of events whose response lies wholly outside the recording or in left out spans.
    """

    who: str
    raw: mne.io.BaseRaw
    channels: list[str]
    trains: list[Train]
    keep: Mask
    left_out: dict[str, float]
    outside: list[int]

    def data(self, start: int, stop: int) -> Array:
        """Return volts of samples ``start`` to ``stop``, 0 where left out, shape (n_times, n_channels)."""
        data = self.raw.get_data(self.channels, start, stop).T
        return np.where(self.keep[start:stop, None], np.nan_to_num(data), 0.0)

    def blocks(self, seconds: float) -> list[tuple[int, int]]:
        """Return stretches of about that length, first and last sample (excluded)."""
        return _blocks(self.raw, seconds)


def prepared(
    who: str, raw: mne.io.BaseRaw, codings: Sequence[EventCoding], impulses: Sequence[Impulses]
) -> Recording:
    """Place a recording's events on its samples and find the samples that can be used.

    Left out are spans annotated as bad, samples that are not finite in a good channel, and the responses of events without
    a value of every predictor: what they add to the recording is not in the model; and samples beyond a cut (a boundary, a new
    segment), as far as responses of events on the other side would reach. Where no event has a response, there is nothing to
    explain.

    Raises
    ------
    DataError
        For flat channels, wrong units, and recordings of which nothing is left.
    AlignmentError
        For two events of a type at one sample, and types that are all outside.
    """
    channels = eeg_channels(raw.info, who)
    sfreq, n_times = raw.info["sfreq"], raw.n_times
    trains = [_train(who, coding, part, sfreq) for coding, part in zip(codings, impulses, strict=True)]
    lost = [_lost(coding, part, sfreq) for coding, part in zip(codings, impulses, strict=True)]
    near = covered(trains, n_times)
    annotated, not_finite = _unusable(who, raw, channels)
    reasons = {
        "annotated as bad": annotated,
        "not finite": not_finite,
        "response of an event without a value": covered(lost, n_times),
        "across a cut": _across_cuts(raw, trains),
    }
    keep, left_out = near.copy(), {}
    for reason, mask in reasons.items():
        left_out[reason] = float((keep & mask).sum() / sfreq)
        keep &= ~mask
    left_out["no event near"] = float((~near).sum() / sfreq)
    if not keep.any():
        shares = ", ".join(f"{reason} {seconds:.0f} s" for reason, seconds in left_out.items() if seconds)
        raise DataError(
            f"{who}: none of {n_times / sfreq:.0f} s can be used ({shares}); check onsets and annotations"
        )
    return Recording(who, raw, channels, trains, keep, left_out, [_outside(train, keep) for train in trains])


def _train(who: str, coding: EventCoding, part: Impulses, sfreq: float) -> Train:
    samples = np.round(part.onsets * sfreq).astype(int)
    if (same := np.flatnonzero(np.diff(samples) == 0)).size:
        raise AlignmentError(
            f"{who}: two events of type '{coding.model.event}' at {part.onsets[same[0]]:g} s; one sample can have one event "
            "of a type"
        )
    return Train(samples, part.values, *_lags(coding, sfreq))


def _lost(coding: EventCoding, part: Impulses, sfreq: float) -> Train:
    samples = np.unique(np.round(part.lost["onset"].to_numpy(float) * sfreq).astype(int))
    return Train(samples, np.ones((len(samples), 1)), *_lags(coding, sfreq))


def _lags(coding: EventCoding, sfreq: float) -> tuple[int, int]:
    first, last = round(coding.model.tmin * sfreq), round(coding.model.tmax * sfreq)
    return first, last - first + 1


def _unusable(who: str, raw: mne.io.BaseRaw, channels: list[str]) -> tuple[Mask, Mask]:
    """Return the samples in spans whose description begins with "bad", and those not finite in a good channel."""
    good = [name for name in channels if name not in raw.info["bads"]]
    if not good:
        raise DataError(f"{who}: every EEG channel is marked bad")
    annotated, holes = np.zeros(raw.n_times, dtype=bool), np.zeros(raw.n_times, dtype=bool)
    absent, spreads = np.zeros(len(good)), []
    low, high = np.full(len(good), np.inf), np.full(len(good), -np.inf)
    for start, stop in _blocks(raw, 30):
        data = raw.get_data(good, start, stop)
        finite = np.isfinite(data)
        marked = raw.get_data(good[:1], start, stop, reject_by_annotation="NaN")[0]
        annotated[start:stop] = np.isnan(marked) & finite[0]
        holes[start:stop] = ~finite.all(axis=0)
        absent += (~finite).sum(axis=1)
        if finite.any(axis=1).all():
            spreads.append(np.nanstd(np.where(finite, data, np.nan), axis=1))
        low = np.minimum(low, np.where(finite, data, np.inf).min(axis=1))
        high = np.maximum(high, np.where(finite, data, -np.inf).max(axis=1))
    for name, share in zip(good, absent / raw.n_times, strict=True):
        if share > 0.5:
            raise DataError(
                f"{who}: channel {name} is not finite in {share:.0%} of the samples; mark it bad (info['bads'])"
            )
    for name, least, most in zip(good, low, high, strict=True):
        if least == most:
            raise DataError(
                f"{who}: channel {name} is flat ({least:g} V throughout); mark it bad (info['bads']), or drop it where it is "
                "the reference"
            )
    if (
        spreads
    ):  # over half a minute each, so that slow drifts of unfiltered recordings are not taken for a unit
        typical = np.median(spreads, axis=0)
        check_units(np.column_stack([-typical, typical]), who)
    return annotated, holes


def _across_cuts(raw: mne.io.BaseRaw, trains: Sequence[Train]) -> Mask:
    """Return the samples that an event on the other side of a cut would reach, had the recording gone on."""
    found = [_CUT.match(description) is not None for description in raw.annotations.description]
    onsets = raw.annotations.onset[found] - raw.first_time
    reached = np.zeros(raw.n_times, dtype=bool)
    for cut in np.unique(np.round(onsets * raw.info["sfreq"]).astype(int)):
        for train in trains:
            begins = train.samples + train.first
            ends = begins + train.length
            for number in np.flatnonzero((begins < cut) & (ends > cut)):
                if train.samples[number] < cut:
                    reached[cut : ends[number]] = True
                else:
                    reached[max(begins[number], 0) : cut] = True
    return reached


def _blocks(raw: mne.io.BaseRaw, seconds: float) -> list[tuple[int, int]]:
    number = max(1, round(raw.n_times / (seconds * raw.info["sfreq"])))
    edges = [int(edge) for edge in np.linspace(0, raw.n_times, number + 1)]
    return list(pairwise(edges))


def _outside(train: Train, keep: Mask) -> int:
    before = np.concatenate([[0], keep.cumsum()])
    begins = train.samples + train.first
    inside = before[np.clip(begins + train.length, 0, len(keep))] - before[np.clip(begins, 0, len(keep))]
    return int((inside == 0).sum())
