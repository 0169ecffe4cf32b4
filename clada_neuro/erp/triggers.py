"""Which word each event of a recording is: triggers or onsets, tied to words by a table that the user declares.

Three tables are known by their columns. ``onset`` (seconds from the recording's start): the words are where it says. ``trigger``:
each code is one word wherever it comes, if no code stands there twice; else the rows are in the order of presentation, and the
recorded codes are aligned with them, so that a lost trigger loses one word, or those among which it cannot be told. No table: the rows of a BIDS events file, whose
columns name the words. Whatever is matched, and whatever is not, is counted.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clada_neuro.erp.codes import NO_WORD, WORD, codes_meant, triggers_of
from clada_neuro.erp.metadata import match_words, with_labels
from clada_neuro.erp.notes import most_frequent
from clada_neuro.erp.onsets import from_bids, from_onsets
from clada_neuro.erp.quiet import quiet
from clada_neuro.erp.raw_sources import EegSession
from clada_neuro.errors import AlignmentError, DataError, did_you_mean
from clada_neuro.stimuli.keys import as_key

_TOLERANCE = 0.05
_ONE = re.compile(r"^(event|word|short step)\b")


@dataclass(frozen=True, eq=False)
class TiedEvents:
    """Events of one subject with the words they are.

    Attributes
    ----------
    events
        One table for each session: ``onset`` (seconds), ``event`` (``word``, else the trigger's code or the BIDS
        ``trial_type``), and what the table says of each word.
    account
        outcome, n, shown: events tied to a word, without a word or with an uncertain one, words without an event; some of them.
    notes
        Columns of the table that were taken for ours.
    """

    events: list[pd.DataFrame]
    account: pd.DataFrame
    notes: tuple[str, ...] = ()

    def in_words(self) -> str:
        """Return the account as a line."""
        rows = [row for row in self.account.itertuples() if row.n]
        parts = [
            (row.n, row.outcome if row.n == 1 else _ONE.sub(r"\1s", row.outcome), row.shown) for row in rows
        ]
        return ", ".join(f"{n:,} {outcome}{f' ({shown})' if shown else ''}" for n, outcome, shown in parts)


@quiet
def tie(
    subject: str, sessions: Sequence[EegSession], table: pd.DataFrame | None = None, *, delay: float = 0.0
) -> TiedEvents:
    """Find the word of every event of one subject.

    Parameters
    ----------
    subject
        Name, also of the table's rows where it has a column ``subject``.
    sessions
        Recordings in the order of presentation.
    table
        Words with a column ``onset`` or ``trigger`` (see this module) and the labels that find their measures:
        ``stimulus_id`` or ``item`` and ``condition``, ``word_index``, ``word``. With ``onset`` and several sessions also
        ``session``: the file's name, its ``ses-…``, or its folder.
    delay
        Seconds from a trigger to the word on the screen, added to every onset.

    Raises
    ------
    DataError
        For tables that lack columns, and recordings without triggers.
    AlignmentError
        When no event has a word.
    """
    rows: pd.DataFrame | None = None
    notes: list[str] = []
    if table is not None:
        named, notes = with_labels(table, ("session", "onset", "trigger"), "the table of words")
        rows = _of_subject(named, subject)
    if rows is None:
        events, counts, notes = from_bids(subject, sessions)
    elif "onset" in rows:
        events, counts = from_onsets(subject, sessions, rows)
    elif "trigger" in rows:
        recorded, passing = zip(*map(triggers_of, sessions), strict=True)
        events, counts = _from_triggers(subject, recorded, rows)
        if len(steps := pd.concat(passing)):
            counts.append(("short step between codes of a trigger channel", len(steps), most_frequent(steps)))
    else:
        raise DataError(
            f"the table of words has no column 'trigger' (codes) or 'onset' (seconds); it has {', '.join(map(str, rows.columns))}"
        )
    for part in events:
        part["onset"] += delay
    return TiedEvents(events, pd.DataFrame(counts, columns=["outcome", "n", "shown"]), tuple(notes))


def tie_codes(subject: str, recorded: Sequence[pd.DataFrame], table: pd.DataFrame) -> TiedEvents:
    """Find the word of every event by its code, where there are no recordings any more.

    Parameters
    ----------
    subject, table
        As in `tie`; the table has a column ``trigger``.
    recorded
        One table for each session, in the order of presentation: onset, code.

    Raises
    ------
    DataError
        For a table without codes.
    AlignmentError
        When no event has a word.
    """
    named, notes = with_labels(table, ("trigger",), "the table of words")
    rows = _of_subject(named, subject)
    if "trigger" not in rows:
        raise DataError(
            f"the table of words has no column 'trigger' (codes), by which epochs find theirs; it has {', '.join(map(str, rows.columns))}"
        )
    events, counts = _from_triggers(subject, recorded, rows)
    return TiedEvents(events, pd.DataFrame(counts, columns=["outcome", "n", "shown"]), tuple(notes))


def add_measures(
    tied: Sequence[pd.DataFrame], words: pd.DataFrame, predictors: Sequence[str]
) -> tuple[list[pd.DataFrame], list[str]]:
    """Give every event that is a word the measures of its word; a word that is not in the trace has none, and a reason (`NO_WORD`).

    Parameters
    ----------
    tied
        Tables of events (see `tie`).
    words
        Words table of a trace.
    predictors
        Columns of ``words``.

    Returns
    -------
    tables, notes
        The events, and lines on labels that are spelled otherwise, on words of events that the table of words lacks, and on those
        of the table that no event shows.

    Raises
    ------
    DataError
        For predictors that the words do not have.
    AlignmentError
        When no event finds its word.
    """
    for name in predictors:
        if name not in words:
            raise DataError(
                f"the words table has no column '{name}'{did_you_mean(name, list(map(str, words.columns)))}"
            )
    whole = pd.concat(tied, ignore_index=True)
    is_word = (whole["event"] == WORD).to_numpy()
    match = match_words(whole[is_word].reset_index(drop=True), words, what="events", rows="events")
    values = words[list(predictors)].reset_index(drop=True).reindex(match.row)  # −1 is no row
    values = values.set_axis(np.flatnonzero(is_word))
    whole[list(predictors)] = values.reindex(whole.index)
    reasons = match.unmatched["reason"]
    whole[NO_WORD] = pd.Series(
        reasons.to_numpy(), index=np.flatnonzero(is_word)[reasons.index], dtype=object
    ).reindex(whole.index)
    edges = np.cumsum([0, *map(len, tied)])
    notes, lost, unseen = list(match.notes), len(reasons), len(words) - match.row[match.row >= 0].nunique()
    if lost:
        notes.append(
            f"{lost:,} of {is_word.sum():,} words of events are not in the table of words: {most_frequent(reasons)}"
        )
    if unseen:
        notes.append(
            f"{unseen:,} of {len(words):,} words in the table of words have no event: no response to them is in the model"
        )
    return [whole.iloc[a:b].reset_index(drop=True) for a, b in pairwise(edges)], notes


def check_intervals(subject: str, tied: Sequence[pd.DataFrame], soa: float) -> None:
    """Refuse events whose intervals from word to word disagree with the stated one.

    Parameters
    ----------
    tied
        Tables of events. With ``word_index`` and a column that names the text, intervals are those between neighbours of a text;
        without, between all successive words, of which the typical one must agree.
    soa
        Seconds from word to word.

    Raises
    ------
    AlignmentError
        When the typical interval, or more than 5 % of those within texts, differ by more than 5 %.
    """
    steps = [_intervals(events[events["event"] == WORD].sort_values("onset")) for events in tied]
    within = all(known for _, known in steps)
    intervals = np.concatenate([found for found, _ in steps])
    if not len(intervals):
        return
    off = np.abs(intervals / soa - 1) > _TOLERANCE
    typical = float(np.median(intervals))
    if off.mean() > _TOLERANCE if within else abs(typical / soa - 1) > _TOLERANCE:
        raise AlignmentError(
            f"subject '{subject}': {off.sum():,} of {len(intervals):,} intervals from word to word differ from the stated {1e3 * soa:g} ms "
            f"by more than {_TOLERANCE:.0%} (typical {1e3 * typical:.0f} ms); state the interval that was used, or do clocks drift?"
        )


def _intervals(words: pd.DataFrame) -> tuple[NDArray[np.float64], bool]:
    """Return the intervals between neighbouring words, and whether it is known that they are neighbours in a text."""
    steps = words["onset"].diff()
    texts = [name for name in ("stimulus_id", "item", "condition") if name in words]
    if "word_index" not in words or not texts:
        return steps.dropna().to_numpy(float), False
    follows = pd.to_numeric(words["word_index"], errors="coerce").diff().eq(1)
    for name in texts:
        follows &= words[name].eq(words[name].shift())
    return steps[follows].to_numpy(float), True


def _of_subject(table: pd.DataFrame, subject: str) -> pd.DataFrame:
    if "subject" not in table:
        return table.reset_index(drop=True)
    names = as_key(table["subject"]).str.removeprefix("sub-")
    if (nobody := (names == "").to_numpy()).any():
        raise DataError(
            f"row {nobody.argmax() + 2} of the words names no subject ({nobody.sum()} of {len(names)} rows); fill the column 'subject' in, "
            "or leave it out where all have the same words"
        )
    rows = table[names == subject].drop(columns="subject")
    if rows.empty:
        known = list(dict.fromkeys(names))
        raise DataError(
            f"the table of words has no row of subject '{subject}'{did_you_mean(subject, known)}; it has {', '.join(known[:12])}"
        )
    return rows.reset_index(drop=True)


def _from_triggers(
    subject: str, recorded: Sequence[pd.DataFrame], rows: pd.DataFrame
) -> tuple[list[pd.DataFrame], list[tuple[str, int, str]]]:
    codes = pd.concat([part["code"] for part in recorded], ignore_index=True)
    wanted = codes_meant(rows["trigger"], set(codes))
    known = set(wanted)
    of_words = np.flatnonzero(codes.isin(known))
    if not len(of_words):
        raise AlignmentError(
            f"subject '{subject}': none of {len(codes)} triggers ({most_frequent(codes)}) is in the table of words, which has "
            f"{most_frequent(wanted)}"
        )
    row = pd.Series(-1, index=codes.index)
    uncertain = np.array([], dtype=int)
    if wanted.is_unique:
        place = pd.Series(np.arange(len(wanted)), index=wanted)
        row.iloc[of_words] = place.loc[codes.iloc[of_words]].to_numpy()
    else:
        found, certain = _in_order(codes.iloc[of_words].tolist(), wanted.tolist())
        row.iloc[of_words] = np.where(certain, found, -1)
        uncertain = of_words[~certain]
        if not (row >= 0).any():
            raise AlignmentError(
                f"subject '{subject}': {len(of_words):,} triggers of words were recorded and the table has {len(wanted):,} words, and "
                "their codes do not say which are missing; give texts or words codes of their own, or onsets"
            )
    labels = rows.drop(columns="trigger").reindex(row).reset_index(drop=True)  # −1 is no row
    whole = pd.concat(recorded, ignore_index=True)
    joined = pd.concat([whole["onset"], labels], axis=1).assign(event=whole["code"].mask(row >= 0, WORD))
    edges = np.cumsum([0, *map(len, recorded)])
    events = [joined.iloc[a:b].reset_index(drop=True) for a, b in pairwise(edges)]
    without = wanted[~np.isin(np.arange(len(wanted)), row)]
    counts = [
        ("tied to a word", int((row >= 0).sum()), ""),
        ("event whose word is uncertain", len(uncertain), most_frequent(codes.iloc[uncertain])),
        ("event without a word", int((~codes.isin(known)).sum()), most_frequent(codes[~codes.isin(known)])),
        ("word without an event", len(without), most_frequent(without)),
    ]
    return events, counts


def _in_order(codes: list[str], wanted: list[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Align recorded codes with the table's rows in order: the row of each, and whether it is certain.

    Where codes repeat, a lost trigger may have been any of several. A row is certain where every alignment that matches as many
    as can be matched (a longest common subsequence) has it.
    """
    if codes == wanted:
        return np.arange(len(codes)), np.ones(len(codes), dtype=bool)
    numbers = {code: number for number, code in enumerate(dict.fromkeys([*codes, *wanted]))}
    recorded, given = (np.array([numbers[code] for code in part]) for part in (codes, wanted))
    # Of a long text one table of lengths is held, that of the ends; the other is made a row at a time.
    ends = list(_longest(recorded[::-1], given[::-1]))
    most = ends.pop()[-1]
    found, certain = np.zeros(len(codes), dtype=np.int64), np.zeros(len(codes), dtype=bool)
    for number, (code, before) in enumerate(zip(recorded, _longest(recorded, given), strict=False)):
        after = ends.pop()[::-1]
        possible = (given == code) & (before[:-1] + after[1:] == most - 1)
        left_out = (before + after == most).any()
        found[number] = possible.argmax()
        certain[number] = possible.sum() == 1 and not left_out
    return found, certain


def _longest(codes: NDArray[np.int64], wanted: NDArray[np.int64]) -> Iterator[NDArray[np.int32]]:
    """Yield for the first 0, 1, … n codes the length of their longest common subsequence with every beginning of `wanted`, (m + 1,)."""
    lengths = np.zeros(len(wanted) + 1, dtype=np.int32)
    yield lengths
    for code in codes:
        best = np.maximum(lengths[1:], lengths[:-1] + (wanted == code))
        lengths = np.concatenate([lengths[:1], np.maximum.accumulate(best)])
        yield lengths
