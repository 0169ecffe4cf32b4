"""Which averages of several conditions belong to one subject: by the subjects' names, by order only where that is said."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import mne

from clada_neuro.errors import AlignmentError

Groups: TypeAlias = Mapping[str, Sequence[mne.Evoked]]


def paired(groups: Groups, in_order: bool = False) -> tuple[list[str], dict[str, list[mne.Evoked]], str]:
    """Return the subjects, each condition's averages in their order, and how they were paired.

    Parameters
    ----------
    groups
        Conditions, each with one average a subject.
    in_order
        Whether averages without names (``his_id`` of ``info["subject_info"]``) stand in the same order everywhere.

    Raises
    ------
    AlignmentError
        For subjects that are not in every condition, and for averages without names whose order nobody vouches for or
        that the names there are contradict.
    """
    ids = {name: [subject_of(evoked) for evoked in group] for name, group in groups.items()}
    first, *others = ids
    if all(None not in names and len(set(names)) == len(names) for names in ids.values()):
        for other in others:
            if lost := set(ids[first]) ^ set(ids[other]):
                raise AlignmentError(
                    f"subjects {', '.join(sorted(map(str, lost)))} are in only one of '{first}' and '{other}'; pass those in "
                    "both"
                )
        ordered = {
            name: [group[ids[name].index(subject)] for subject in ids[first]]
            for name, group in groups.items()
        }
        return list(map(str, ids[first])), ordered, "subjects paired by name"
    for other in others:
        _refuse_other_order(first, other, ids)
    if not in_order:
        raise AlignmentError(
            "not every average names its subject (subject_info['his_id']), so nothing says which of them belong together; if "
            "all conditions hold the same subjects in the same order, say so with --in-order (in_order=True in Python)"
        )
    names = (
        "which do not give each a name of its own"
        if any(any(known) for known in ids.values())
        else "which name none"
    )
    subjects = [str(number + 1) for number in range(len(ids[first]))]
    return (
        subjects,
        {name: list(group) for name, group in groups.items()},
        f"subjects paired by their order in the files, {names}",
    )


def subject_of(evoked: mne.Evoked) -> str | None:
    """Return the name of the subject of an average, None where it has none."""
    return (evoked.info.get("subject_info") or {}).get("his_id")


def _refuse_other_order(first: str, other: str, ids: Mapping[str, Sequence[str | None]]) -> None:
    if len(ids[first]) != len(ids[other]):
        raise AlignmentError(
            f"'{first}' has {len(ids[first])} averages and '{other}' {len(ids[other])}, without subject ids to pair them; "
            "pass the same subjects in the same order"
        )
    for number, (here, there) in enumerate(zip(ids[first], ids[other], strict=True), start=1):
        if here is not None and there is not None and here != there:
            raise AlignmentError(
                f"average {number} is of subject {here} in '{first}' and of {there} in '{other}', and not every recording "
                "has a name of its own to pair by; pass the same subjects in the same order"
            )
