"""Do the effects of words hold over stimuli, too? What `erp.by_item` is to regression ERPs of epochs, for overlapping responses.

From every word the responses to its neighbours are subtracted (see `single`); the rest is averaged over a component's window and
electrodes, fixed in advance, and over the clusters that the test over subjects found.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import mne
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clada_neuro.erp.by_item import SELECTED, over_stimuli
from clada_neuro.erp.channels import find_roi
from clada_neuro.erp.clusters import bins
from clada_neuro.erp.codes import WORD
from clada_neuro.erp.components import PRESETS, Component
from clada_neuro.erp.epochs import MICROVOLTS
from clada_neuro.erp.layout import Layout, common_layout
from clada_neuro.erp.metadata import match_words
from clada_neuro.erp.overlap.events import NOT_A_WORD
from clada_neuro.erp.overlap.group import OverlapGroup
from clada_neuro.erp.overlap.result import IN_MODEL, OUTSIDE, OverlapRerp
from clada_neuro.erp.overlap.single import stretches_without_overlap
from clada_neuro.erp.quiet import quiet
from clada_neuro.errors import DataError
from clada_neuro.stimuli.unit import stimulus_of

_ALPHA = 0.05
_IN_CHECK, _NOT_WHOLE, _UNKNOWN, _WITHOUT = (
    "in the check",
    "in part outside, or in spans left out",
    NOT_A_WORD,
    "without a value of every predictor",
)


@dataclass(frozen=True, eq=False)
class ItemCheck:
    """What the words' means over subjects say, and of which words.

    Attributes
    ----------
    table
        where, predictor, b_uv (per unit of the predictor), se, df, t, p, ci_low, ci_high, n_stimuli, n_items, note.
    account
        One row per subject and outcome: subject, outcome, n, shown (an example). The n of a subject add up to the events that are words.
    """

    table: pd.DataFrame
    account: pd.DataFrame

    @property
    def words(self) -> dict[str, int]:
        """Number of words of all subjects by what became of them."""
        return {
            str(outcome): int(n)
            for outcome, n in self.account.groupby("outcome", sort=False)["n"].sum().items()
        }

    def in_words(self) -> str:
        """Return the account as a line."""
        examples = (
            self.account[self.account["shown"] != ""].drop_duplicates("outcome").set_index("outcome")["shown"]
        )
        parts = [
            f"{n:,} {outcome}{f' ({examples[outcome]})' if outcome in examples else ''}"
            for outcome, n in self.words.items()
            if n
        ]
        return f"of {sum(self.words.values()):,} words: {', '.join(parts)}"


@dataclass(frozen=True, eq=False)
class _Place:
    """Channels and moments that are averaged, (n_channels, n_bins), and the predictors that are asked about there."""

    name: str
    mask: NDArray[np.bool_]
    predictors: tuple[str, ...]
    note: str = ""


@quiet
def overlap_by_item(
    recordings: Mapping[str, Sequence[mne.io.BaseRaw]],
    events: Mapping[str, Sequence[pd.DataFrame]],
    fits: Mapping[str, OverlapRerp],
    group: OverlapGroup,
    words: pd.DataFrame,
    *,
    components: Iterable[Component] = tuple(PRESETS.values()),
    tmin: float = 0.0,
) -> ItemCheck:
    """Regress the words' means over subjects on their predictors, with standard errors clustered by item.

    Parameters
    ----------
    recordings, events, fits
        By subject, as they were given to and returned by `group.overlap_rerps`; events of type ``word`` with the labels that
        find their words.
    group
        The test over subjects, whose clusters with p < .05 are looked into.
    words
        Words table of a trace: says which words are one stimulus, and one item.
    components
        Those whose window lies in the tested moments and whose electrodes are there are looked at.
    tmin
        Where the test over subjects began, seconds.

    Returns
    -------
    ItemCheck

    Raises
    ------
    DataError
        Without predictors of words, without places to look at, and with too few stimuli.
    """
    names = [name for name in group.betas if name.startswith(f"{WORD}/")]
    predictors = [name.partition("/")[2] for name in names if name != f"{WORD}/intercept"]
    if not predictors:
        raise DataError("the formula of words has no predictor whose effect could hold over stimuli")
    waveforms = {f"subject '{subject}'": fit.evoked(names[0]) for subject, fit in fits.items()}
    layout = common_layout(waveforms)
    places = list(_places(group, predictors, components))
    if not places:
        raise DataError("neither a component's window and electrodes nor a cluster are in the responses")
    frames = [
        _amplitudes(subject, recordings[subject], events[subject], fit, layout, places, tmin)
        for subject, fit in fits.items()
    ]
    trials = pd.concat(frames, ignore_index=True)
    match = match_words(trials, words)
    account, found = _account(fits, trials, match.unmatched), match.row
    trials, row = trials[found >= 0].reset_index(drop=True), found[found >= 0]
    trials["stimulus"] = stimulus_of(words).iloc[row].to_numpy()
    trials["item"] = words["item"].iloc[row].to_numpy()
    columns = {name: f"predictor {name}" for name in predictors}
    means = {column: (column, "mean") for column in columns.values()}
    stimuli = trials.groupby("stimulus", sort=False).agg(item=("item", "first"), **means).reset_index()
    tables = [
        over_stimuli(trials, stimuli, place.name, columns, [], list(place.predictors), place.note)
        for place in places
    ]
    return ItemCheck(pd.concat(tables, ignore_index=True).rename(columns={"b": "b_uv"}), account)


def _places(
    group: OverlapGroup, predictors: Sequence[str], components: Iterable[Component]
) -> Iterator[_Place]:
    """Yield components' windows and significant clusters, on the bins over which the responses are tested."""
    tests = {name: group.tests[f"{WORD}/{name}"] for name in predictors}
    info = group.betas[f"{WORD}/{predictors[0]}"][0].info
    times = tests[predictors[0]].times
    for component in components:
        inside = (times >= component.tmin) & (times <= component.tmax)
        if not component.within(times[0], times[-1]):
            continue
        try:
            roi = find_roi(info, component).channels
        except DataError:  # a component that these electrodes do not measure
            continue
        yield _Place(component.column, np.outer(np.isin(info["ch_names"], roi), inside), tuple(predictors))
    for name, test in tests.items():
        for row in test.table[test.table["p"] < _ALPHA].itertuples():
            yield _Place(f"{name} cluster {row.cluster}", test.masks[row.cluster], (name,), SELECTED)


def _amplitudes(
    subject: str,
    recordings: Sequence[mne.io.BaseRaw],
    events: Sequence[pd.DataFrame],
    fit: OverlapRerp,
    layout: Layout,
    places: Sequence[_Place],
    tmin: float,
) -> pd.DataFrame:
    """Return one subject's words with their labels, predictors (``predictor …``) and mean at each place, µV."""
    coding = next(coding for coding in fit.codings if coding.model.event == WORD)
    frames = []
    for epochs, values in stretches_without_overlap(recordings, events, fit, WORD):
        alike = layout.of(f"subject '{subject}'", epochs)
        binned = bins(alike, tmin)[1]
        frame = epochs.metadata.drop(columns="subject", errors="ignore").assign(subject=subject)
        for name, column in zip(coding.names, values.T, strict=True):
            frame[f"predictor {name}"] = column
        for place in places:
            frame[place.name] = MICROVOLTS * binned[:, place.mask].mean(axis=1)
        frames.append(frame)
    if not frames:
        raise DataError(
            f"subject '{subject}': no word lies wholly inside the recording and outside spans left out"
        )
    return pd.concat(frames, ignore_index=True)


def _account(fits: Mapping[str, OverlapRerp], whole: pd.DataFrame, unknown: pd.DataFrame) -> pd.DataFrame:
    """Return what became of every event that is a word, from those that were cut whole and those of them without a row of the words."""
    rows: list[tuple[str, str, int, str]] = []
    for subject, fit in fits.items():
        counts = fit.events[fit.events["event"] == WORD].groupby("outcome")["n"].sum()
        valued = int(counts.reindex([IN_MODEL, OUTSIDE]).fillna(0).sum())
        n, lost = int((whole["subject"] == subject).sum()), unknown[unknown["subject"] == subject]
        shown = str(lost["reason"].iloc[0]) if len(lost) else ""
        not_there = int(counts.get(NOT_A_WORD, 0))  # known before the fit, so that they have no value either
        rows += [
            (subject, _IN_CHECK, n - len(lost), ""),
            (subject, _NOT_WHOLE, valued - n, ""),
            (subject, _UNKNOWN, len(lost) + not_there, shown),
            (subject, _WITHOUT, int(counts.sum()) - valued - not_there, ""),
        ]
    return pd.DataFrame(rows, columns=["subject", "outcome", "n", "shown"])
