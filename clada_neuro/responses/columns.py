"""Which column of a table of trials plays which part: as the caller declares, else by a usual name, which is said.

A column that plays a part is copied under our name; the caller's own stays, so that formulas may name either.
"""

import re
from collections.abc import Collection, Mapping

import pandas as pd

from clada_neuro.errors import AlignmentError, did_you_mean
from clada_neuro.responses.response import is_response
from clada_neuro.stimuli.columns import USUAL

# Our names, and what else the same thing is called, without case, blanks and underscores. What an index counts from
# cannot be seen, so only its own name is taken for it.
PARTS = {
    "subject": (
        "subj", "subjectid", "subjid", "subjectnr", "subjnr", "subjectnumber", "subjectno", "sub", "participant",
        "participantid", "participantnr", "participantnumber", "participantno", "ppt", "person", "reader",
        "recordingsessionlabel", "workerid",
    ),
    **USUAL,
    "word_index": (),
    "word": ("ialabel",),
}  # fmt: skip


def take_columns(
    trials: pd.DataFrame,
    declared: Mapping[str, str] | None = None,
    origin: str = "the table of trials",
    responses: Collection[str] = (),
) -> tuple[pd.DataFrame, list[str]]:
    """Return the trials with a column under each of our names that one of theirs plays, and what was taken for what.

    Parameters
    ----------
    trials : pandas.DataFrame
    declared : mapping, optional
        Our names to columns; to nothing where no column plays a part, whatever its name. A response may be declared,
        too: ``{"rt_ms": "RT"}``.
    origin : str
        What the table is called in messages.
    responses : collection of str
        Names of responses, for which a column that differs in case alone is taken, too.

    Raises
    ------
    AlignmentError
        For a name that cannot be declared, and a column that is not there.
    """
    present, given = list(map(str, trials.columns)), dict(declared or {})
    for name, column in given.items():
        if name not in PARTS and not is_response(name):
            raise AlignmentError(
                f"no column '{name}'{did_you_mean(name, list(PARTS))} of trials can be declared; there are "
                f"{', '.join(PARTS)}, and responses such as rt_ms or n400_uv"
            )
        if column and column not in present:
            raise AlignmentError(
                f"{origin} has no column '{column}'{did_you_mean(column, present)}, declared as {name}; it has "
                f"{', '.join(present)}"
            )
    notes, added = [], {name: trials[column] for name, column in given.items() if column}
    for name in PARTS:
        if name in given or name in present:
            continue
        found = usual(present, name)
        if len(found) == 1:
            added[name] = trials[found[0]]
            notes.append(f"column '{found[0]}' of the trials taken for {name}")
        elif found:
            notes.append(_unclear(name, found))
    for name in sorted(set(responses) - set(given) - set(present)):
        found = [column for column in present if column.casefold() == name.casefold()]
        if len(found) == 1:
            added[name] = trials[found[0]]
            notes.append(f"column '{found[0]}' of the trials taken for {name}")
    own = {name: f"{name}_original" for name, column in given.items() if name in present and name != column}
    return trials.rename(columns=own).assign(**added), notes


def usual(columns: list[str], name: str) -> list[str]:
    """Return the columns that are usually called so for what we call `name`; its own name in other spelling first."""
    plain = {column: re.sub(r"[\W_]", "", column).lower() for column in columns}
    same = [column for column, text in plain.items() if text == name.replace("_", "")]
    return same or [column for column, text in plain.items() if text in PARTS[name]]


def missing_advice(columns: list[str], name: str) -> str:
    """Return a part that no column plays, which columns could play it, and how it is declared."""
    fitting = usual(columns, name)
    hint = f" ({', '.join(fitting)} could each be it)" if len(fitting) > 1 else did_you_mean(name, columns)
    return f"{name}{hint}: say which column it is with --trial-column {name}=… (in Python columns={{'{name}': …}})"


def _unclear(name: str, found: list[str]) -> str:
    return (
        f"no column of the trials is taken for {name}: {', '.join(found)} could each be it; say which with "
        f"--trial-column {name}=…"
    )
