"""The time-expanded design: each event's predictors, repeated at every sample in which the event has a response.

Row t of the design X holds, for predictor p at lag i, the value of p of the event at sample t − i, if there is one. X itself is
never built: an entry of X'X counts pairs of events that lie d samples apart, X'y sums windows of the recording, and
Xb adds the responses. So memory does not grow with the recording, and the work grows with its events.

Columns run over event types, then predictors, then lags.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Train:
    """Events of one type in one recording.

    Attributes
    ----------
    samples
        Where they are, in ascending order without repeats, shape (n_events,).
    values
        Their predictors, shape (n_events, n_predictors).
    first, length
        First lag of the response, in samples, and number of lags.
    """

    samples: NDArray[np.int64]
    values: Array
    first: int
    length: int

    @property
    def n_columns(self) -> int:
        """Number of columns of the expanded design."""
        return self.values.shape[1] * self.length

    def touching(self, start: int, stop: int) -> "Train":
        """Return the events whose responses reach into samples ``start`` to ``stop`` (excluded), counted from there."""
        begins = self.samples + self.first
        inside = (begins < stop) & (begins + self.length > start)
        return Train(self.samples[inside] - start, self.values[inside], self.first, self.length)


def covered(trains: Sequence[Train], n_times: int) -> Mask:
    """Return the samples in which some event has a response, shape (n_times,)."""
    changes = np.zeros(n_times + 1, dtype=np.int64)
    for train in trains:
        begins = train.samples + train.first
        np.add.at(changes, np.clip(begins, 0, n_times), 1)
        np.add.at(changes, np.clip(begins + train.length, 0, n_times), -1)
    return changes.cumsum()[:-1] > 0


def gram(trains: Sequence[Train], keep: Mask) -> Array:
    """Return X'X over the samples that are kept, shape (n_columns, n_columns)."""
    edges = np.cumsum([0, *(train.n_columns for train in trains)])
    result = np.zeros((edges[-1], edges[-1]))
    for a, one in enumerate(trains):
        for b in range(a, len(trains)):
            block = result[edges[a] : edges[a + 1], edges[b] : edges[b + 1]]
            _add_pairs(block, one, trains[b], keep)
            if a != b:
                result[edges[b] : edges[b + 1], edges[a] : edges[a + 1]] = block.T
    return result


def project(trains: Sequence[Train], data: Array) -> Array:
    """Return X'y, shape (n_columns, n_channels), for data (n_times, n_channels) that are 0 where a sample is left out."""
    n_channels = data.shape[1]
    parts = []
    for train in trains:
        near, padded = _padded(train, data)
        windows = padded[near[:, None] + np.arange(train.length)]
        summed = train.values.T @ windows.reshape(len(near), train.length * n_channels)
        parts.append(summed.reshape(train.n_columns, n_channels))
    return np.concatenate(parts)


def predict(trains: Sequence[Train], coefficients: Array, n_times: int) -> Array:
    """Return Xb, shape (n_times, n_channels), for coefficients (n_columns, n_channels)."""
    n_channels = coefficients.shape[1]
    total = np.zeros((n_times, n_channels))
    before = 0
    for train in trains:
        own = coefficients[before : before + train.n_columns].reshape(
            train.values.shape[1], train.length * n_channels
        )
        before += train.n_columns
        responses = (train.values @ own).reshape(-1, train.length, n_channels)
        near, padded = _padded(train, np.zeros((n_times, n_channels)))
        for begin, response in zip(near, responses, strict=True):
            padded[begin : begin + train.length] += response
        total += padded[train.length : train.length + n_times]
    return total


def _padded(train: Train, data: Array) -> tuple[NDArray[np.int64], Array]:
    """Return data with zeros around, as many as an event that touches them can reach out, and where events begin there."""
    zeros = np.zeros((train.length, data.shape[1]))
    return train.samples + train.first + train.length, np.concatenate([zeros, data, zeros])


def _add_pairs(block: Array, one: Train, other: Train, keep: Mask) -> None:
    """Add to X'X of two event types: lag i of the one and lag j of the other meet where the other comes i − j later."""
    p, q = one.values.shape[1], other.values.shape[1]
    lags = block.reshape(p, one.length, q, other.length)
    for distance in range(one.first - other.first - other.length + 1, one.first - other.first + one.length):
        first, second = _pairs(one.samples, other.samples, distance)
        if not len(first):
            continue
        begin = max(one.first, other.first + distance)
        end = min(one.first + one.length, other.first + other.length + distance)
        at = one.samples[first][:, None] + np.arange(begin, end)
        counted = keep[np.clip(at, 0, len(keep) - 1)] & (at >= 0) & (at < len(keep))
        products = (one.values[first][:, :, None] * other.values[second][:, None, :]).reshape(len(first), -1)
        summed = (counted.T.astype(float) @ products).reshape(-1, p, q)
        i = np.arange(begin, end) - one.first
        lags[:, i, :, i + one.first - distance - other.first] += summed


def _pairs(
    one: NDArray[np.int64], other: NDArray[np.int64], distance: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of events of which the second comes ``distance`` samples after the first."""
    if not len(other):
        return np.array([], int), np.array([], int)
    place = np.searchsorted(other, one + distance).clip(max=len(other) - 1)
    first = np.flatnonzero(other[place] == one + distance)
    return first, place[first]
