"""What a fit of overlapping responses returns: waveforms, a table, and an account of every event and second."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mne
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from clada_neuro.erp.epochs import MICROVOLTS
from clada_neuro.erp.overlap.events import EventCoding
from clada_neuro.errors import DataError, did_you_mean
from clada_neuro.stats.design import columns_for

Array = NDArray[np.float64]
# What became of an event: it has an effect on the estimates, or none.
IN_MODEL, OUTSIDE = "in the model", "outside, or in spans left out"


@dataclass(frozen=True, eq=False)
class OverlapRerp:
    """Regression ERPs of one subject with the responses to neighbouring events taken apart.

    Attributes
    ----------
    names
        Predictors as ``event/predictor``; the response to an event whose predictors are 0 is ``event/intercept``.
    events
        One row per event type and outcome: event, outcome, n. What is not ``in the model`` was left out for the reason given.
    seconds
        Seconds of the recordings by use: ``estimated from``, and the reasons for which the others were left out.
    condition
        Condition number of the expanded design, columns at unit length (Belsley, Kuh & Welsch 1980).
    inflation
        For each predictor how many times larger the variance of its waveform is than if every event stood alone, at its
        worst moment: what overlap costs. Large where events follow each other at a fixed interval.
    penalty
        Ridge penalty chosen by held-out time, None without ridge.
    n_blocks
        Stretches of time over which standard errors were computed.
    notes
        What a reader must know.
    codings
        The evaluated formulas, by event type.
    """

    names: tuple[str, ...]
    events: pd.DataFrame
    seconds: dict[str, float]
    condition: float
    inflation: dict[str, float]
    penalty: float | None
    n_blocks: int
    notes: list[str]
    codings: tuple[EventCoding, ...]
    _info: mne.Info
    _tmin: dict[str, float]
    _estimates: dict[str, Array]
    _errors: dict[str, Array]

    def evoked(self, name: str) -> mne.EvokedArray:
        """Return a predictor's waveform at every channel, volts per unit of the predictor.

        Parameters
        ----------
        name
            One of ``names``.
        """
        return self._evoked(name, self._estimates[self._known(name)])

    def standard_error(self, name: str) -> mne.EvokedArray:
        """Return the standard error of a predictor's waveform, volts per unit of the predictor."""
        return self._evoked(name, self._errors[self._known(name)])

    def responses(self) -> Array:
        """Return all waveforms below each other, volts, shape (n_predictors × n_times, n_channels)."""
        return np.concatenate([self._estimates[name].T for name in self.names])

    def predicted(self, event: str, at: Mapping[str, Any] | None = None) -> mne.EvokedArray:
        """Return the response to an event with the given predictors, volts; numbers not given are at their mean.

        This shows what a spline says: ``predicted("word", {"zipf_frequency": 3})``.

        Raises
        ------
        DataError
            For unknown events and variables, and factors without a level.
        """
        known = {coding.model.event: coding for coding in self.codings}
        if event not in known:
            raise DataError(
                f"no event '{event}'{did_you_mean(event, list(known))}; there are {', '.join(known)}"
            )
        coding, given = known[event], dict(at or {})
        if strange := [name for name in given if name not in coding.variables]:
            raise DataError(
                f"'{strange[0]}' is no variable of '{coding.model.formula}'{did_you_mean(strange[0], list(coding.variables))}"
            )
        values = {**coding.typical.to_dict(), **given}
        if absent := [name for name in coding.variables if name not in values]:
            raise DataError(f"'{absent[0]}' is a factor; name the level at which the response is wanted")
        row = columns_for(
            coding.spec, pd.DataFrame({name: [values[name]] for name in coding.variables} or [{}])
        )[0]
        parts = [
            self._estimates[f"{event}/{name}"] * weight
            for name, weight in zip(coding.names, row, strict=True)
        ]
        return self._evoked(f"{event}/{coding.names[0]}", np.sum(parts, axis=0), comment=event)

    def table(self, level: float = 0.95) -> pd.DataFrame:
        """Return estimates as a tidy table.

        Returns
        -------
        pandas.DataFrame
            event, predictor, channel, time_ms, estimate_uv, se_uv, ci_low_uv, ci_high_uv: µV per unit of the predictor;
            good channels only.
        """
        good = [name for name in self._info["ch_names"] if name not in self._info["bads"]]
        rows = [self._info["ch_names"].index(name) for name in good]
        critical = stats.t.ppf(0.5 + level / 2, self.n_blocks - 1)
        frames = []
        for name in self.names:
            event, _, predictor = name.partition("/")
            times = 1e3 * self.evoked(name).times
            estimate = MICROVOLTS * self._estimates[name][rows].ravel()
            error = MICROVOLTS * self._errors[name][rows].ravel()
            frames.append(
                pd.DataFrame(
                    {
                        "event": event, "predictor": predictor, "channel": np.repeat(good, len(times)),
                        "time_ms": np.tile(times, len(good)), "estimate_uv": estimate, "se_uv": error,
                        "ci_low_uv": estimate - critical * error, "ci_high_uv": estimate + critical * error,
                    }
                )
            )  # fmt: skip
        return pd.concat(frames, ignore_index=True)

    def __repr__(self) -> str:
        used = int(self.events.loc[self.events["outcome"] == IN_MODEL, "n"].sum())
        return f"OverlapRerp({', '.join(self.names)}; {used} events, condition number {self.condition:.0f})"

    def _known(self, name: str) -> str:
        if name not in self._estimates:
            raise DataError(
                f"no predictor '{name}'{did_you_mean(name, list(self.names))}; there are {', '.join(self.names)}"
            )
        return name

    def _evoked(self, name: str, data: Array, comment: str | None = None) -> mne.EvokedArray:
        used = self.events[self.events["event"] == name.partition("/")[0]].set_index("outcome")["n"]
        nave = int(used.get(IN_MODEL, 0))
        return mne.EvokedArray(
            data, self._info, tmin=self._tmin[name], comment=comment or name, nave=nave, verbose="error"
        )


def account(
    codings: Sequence[EventCoding], outcomes: Sequence[Mapping[str, int]], others: Mapping[str, int]
) -> pd.DataFrame:
    """Return the table of events: one row per type and outcome, types without a model last."""
    rows = [
        (coding.model.event, outcome, n)
        for coding, counts in zip(codings, outcomes, strict=True)
        for outcome, n in counts.items()
        if n or outcome == IN_MODEL
    ]
    rows += [(event, "no model for this type", n) for event, n in others.items()]
    return pd.DataFrame(rows, columns=["event", "outcome", "n"])
