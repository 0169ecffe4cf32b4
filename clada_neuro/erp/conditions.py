"""Subject averages of two conditions or more: amplitudes, every paired difference, and the analysis of variance.

The analysis of variance is that of one within-subject factor. Its p carries the Greenhouse-Geisser correction, because
conditions that are not equally correlated make the uncorrected test too liberal; those of the differences are Holm's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import mne
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from clada_neuro.erp.components import Component
from clada_neuro.erp.evoked import PairedDifference, amplitudes, paired_difference, read_evokeds
from clada_neuro.erp.pairing import Groups, paired, subject_of
from clada_neuro.errors import DataError

_ENDINGS = ("-ave.fif", "_ave.fif", "-evo.fif", "_evo.fif", "-ave.fif.gz", "_ave.fif.gz")


@dataclass(frozen=True)
class Omnibus:
    """Whether a component differs between conditions at all: F, its degrees of freedom and corrected p.

    Attributes
    ----------
    n, conditions
        Subjects and conditions.
    f, df1, df2
        Uncorrected degrees of freedom.
    epsilon
        Greenhouse and Geisser's; `p` is that of F with both degrees of freedom multiplied by it.
    """

    component: str
    n: int
    conditions: int
    f: float
    df1: int
    df2: int
    epsilon: float
    p: float

    def __repr__(self) -> str:
        return (
            f"{self.component}, {self.conditions} conditions: F({self.df1}, {self.df2}) = {self.f:.2f}, Greenhouse-Geisser "
            f"epsilon = {self.epsilon:.3f}, p = {self.p:.4f}, {self.n} subjects"
        )


def read_conditions(sources: Mapping[str, Path]) -> dict[str, list[mne.Evoked]]:
    """Read each condition's averages: a FIF file with one a subject, or a folder with a file a subject.

    An average without the name of its subject takes that of its file in a folder; in a file, which has one subject's name
    for all that is in it, its comment, where the comments of every file are the same distinct ones.
    """
    groups = {name: _averages(path, name) for name, path in sources.items()}
    comments = [[str(evoked.comment or "") for evoked in evokeds] for evokeds in groups.values()]
    first = set(comments[0])
    if "" not in first and all(len(set(own)) == len(own) and set(own) == first for own in comments):
        for evoked in (evoked for evokeds in groups.values() for evoked in evokeds):
            evoked.info["subject_info"] = {"his_id": str(evoked.comment)}
    return groups


def read_subjects(folder: Path) -> dict[str, list[mne.Evoked]]:
    """Read a folder with a FIF file a subject, whose averages are the conditions, named by their comments.

    Raises
    ------
    DataError
        For files that hold other conditions than the first.
    """
    groups: dict[str, list[mne.Evoked]] = {}
    first: list[str] = []
    for path in _files(folder):
        found = {str(evoked.comment): evoked for evoked in _of_file(path)}
        first = first or list(found)
        if set(found) != set(first):
            raise DataError(
                f"'{path.name}' holds the conditions {', '.join(found)}, other files of '{folder}' {', '.join(first)}; "
                "every subject needs all of them"
            )
        for name, evoked in found.items():
            groups.setdefault(name, []).append(evoked)
    return groups


def table(
    groups: Groups, components: Sequence[Component], in_order: bool = False
) -> tuple[pd.DataFrame, str]:
    """Return a row a subject and condition with a column a component, µV, and how subjects were paired."""
    subjects, ordered, how = paired(groups, in_order)
    frames = [
        pd.DataFrame({"subject": subjects, "condition": name})
        .assign(**{component.column: amplitudes(evokeds, component) for component in components})
        for name, evokeds in ordered.items()
    ]  # fmt: skip
    return pd.concat(frames, ignore_index=True), how


def pairwise(
    groups: Groups, component: Component, in_order: bool = False
) -> tuple[list[PairedDifference], NDArray[np.float64]]:
    """Return the paired difference of every two conditions, the first named minus the later, and Holm's p of each.

    Raises
    ------
    DataError
        For fewer than two conditions.
    """
    if len(groups) < 2:
        raise DataError(f"{len(groups)} condition arrived ({', '.join(groups)}); a difference needs two")
    found = [
        paired_difference({name: groups[name] for name in pair}, component, in_order=in_order)
        for pair in combinations(groups, 2)
    ]
    return found, multipletests([one.p for one in found], method="holm")[1]


def omnibus(measured: pd.DataFrame, component: Component) -> Omnibus:
    """Return the analysis of variance of one within-subject factor, from what `table` returned.

    With subjects' amplitudes y_sc, F compares the conditions' mean square with that of subject × condition; epsilon is
    tr(C)² / ((k − 1)·Σ C²) of the double-centred covariance C of the k conditions (Greenhouse & Geisser, 1959).
    """
    y = measured.pivot(index="subject", columns="condition", values=component.column).to_numpy()
    n, k = y.shape
    centred = y - y.mean(axis=1, keepdims=True)
    effect = centred.mean(axis=0)
    df1, df2 = k - 1, (k - 1) * (n - 1)
    f = (n * (effect**2).sum() / df1) / (((centred - effect) ** 2).sum() / df2)
    covariance = np.cov(y, rowvar=False)
    c = covariance - covariance.mean(axis=0) - covariance.mean(axis=1, keepdims=True) + covariance.mean()
    epsilon = np.trace(c) ** 2 / (df1 * (c**2).sum())
    p = stats.f.sf(f, epsilon * df1, epsilon * df2)
    return Omnibus(component.name, n, k, float(f), df1, df2, float(epsilon), float(p))


def _averages(path: Path, condition: str) -> list[mne.Evoked]:
    if not path.is_dir():
        return read_evokeds(path)
    found = []
    for file in _files(path):
        evokeds = _of_file(file)
        if len(evokeds) != 1:
            raise DataError(
                f"'{file}' holds {len(evokeds)} averages ({', '.join(str(one.comment) for one in evokeds)}), one of condition "
                f"'{condition}' expected; give a folder of files with all conditions alone, without NAME="
            )
        found += evokeds
    return found


def _files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.name.lower().endswith(_ENDINGS))
    if not files:
        raise DataError(f"'{folder}' holds no averages; files that end in {', '.join(_ENDINGS[:4])} expected")
    return files


def _of_file(path: Path) -> list[mne.Evoked]:
    """Return the averages of one subject's file, who is called as the file where it does not say."""
    evokeds = read_evokeds(path)
    stem = next(path.name[: -len(end)] for end in _ENDINGS if path.name.lower().endswith(end))
    for evoked in evokeds:
        if subject_of(evoked) is None:
            evoked.info["subject_info"] = {"his_id": stem}
    return evokeds
