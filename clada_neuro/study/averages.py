"""Subjects' averages of conditions, compared in components' windows: tables, figures, and what was done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clada_neuro.artifacts import versions, write_json
from clada_neuro.erp.components import Component
from clada_neuro.erp.conditions import Omnibus, omnibus, pairwise, table
from clada_neuro.erp.evoked import PairedDifference, differences, topographies, waveforms
from clada_neuro.erp.pairing import Groups
from clada_neuro.errors import DataError
from clada_neuro.exports import write_for_r
from clada_neuro.reporting.waveforms import averages
from clada_neuro.stage import Stage


@dataclass(frozen=True, eq=False)
class ComparedAverages:
    """What subjects' averages of conditions say.

    Attributes
    ----------
    groups : mapping
        Condition to its subjects' averages.
    components : sequence of Component
    in_order : bool
        Whether averages that name no subject stand in the same order in every condition.
    amplitudes : pandas.DataFrame
        A row a subject and condition.
    differences : mapping
        By component, every pair's difference, and their p adjusted over the pairs.
    overall : list of Omnibus
        An ANOVA a component, where there are more than two conditions.
    """

    groups: Groups
    components: Sequence[Component]
    in_order: bool
    amplitudes: pd.DataFrame
    differences: Mapping[str, tuple[Sequence[PairedDifference], NDArray[np.float64]]]
    overall: list[Omnibus]

    @property
    def notes(self) -> list[str]:
        """What a reader must know, each once."""
        found = (one for pairs, _ in self.differences.values() for one in pairs)
        return list(dict.fromkeys(note for one in found for note in one.notes))

    @property
    def rows(self) -> pd.DataFrame:
        """One row a component and pair of conditions, the p of each also adjusted over the pairs of its component."""
        return pd.DataFrame(
            [
                one.row() | {"p_holm": p}
                for pairs, adjusted in self.differences.values()
                for one, p in zip(pairs, adjusted, strict=True)
            ]
        )


def compared(groups: Groups, components: Sequence[Component], in_order: bool = False) -> ComparedAverages:
    """Compare conditions in the components' windows; arguments as the attributes of `ComparedAverages`.

    Raises
    ------
    DataError
        For averages that cannot be paired, and windows and electrodes that they do not hold.
    """
    pairs = {one.name: pairwise(groups, one, in_order) for one in components}
    amplitudes, _ = table(groups, components, in_order)
    overall = [omnibus(amplitudes, one) for one in components] if len(groups) > 2 else []
    return ComparedAverages(groups, components, in_order, amplitudes, pairs, overall)


@dataclass(frozen=True, eq=False)
class AveragesStage(Stage[None]):
    """Write what was compared as tables and figures, anew each time.

    Attributes
    ----------
    found : ComparedAverages
    sources : sequence of str
        Where the averages come from, for the manifest.
    negative : {"up", "down"}
        Where negative voltages are in figures.
    """

    name = "averages"
    files = ("amplitudes.csv", "differences.csv", "anova.csv", "manifest.json", "*.png", "*.svg")

    found: ComparedAverages
    sources: Sequence[str] = ()
    negative: Literal["up", "down"] = "down"

    def make(self, folder: Path) -> None:
        """Write tables, figures and the manifest."""
        write_for_r(self.found.amplitudes, folder / "amplitudes.csv")
        write_for_r(self.found.rows, folder / "differences.csv")
        if self.found.overall:
            write_for_r(pd.DataFrame([vars(one) for one in self.found.overall]), folder / "anova.csv")
        else:
            (folder / "anova.csv").unlink(missing_ok=True)  # of another call
        for one in self.found.components:
            self._draw(one, folder)
        document = {"sources": list(self.sources), "notes": self.found.notes, "versions": versions()}
        write_json(folder / "manifest.json", document)

    def _draw(self, component: Component, folder: Path) -> None:
        """Draw the conditions over time and, for two or three of them, the scalp in the window."""
        groups = self.found.groups
        shown = dict(groups)
        if len(groups) == 2:
            shown[" − ".join(groups)] = differences(groups, in_order=self.found.in_order)
        maps = topographies(shown, component)
        caption = (
            f"{component.name.upper()} ({component.window}): means of subjects' averages with 95 % intervals over subjects"
            + ("; below, the scalp in the window, µV." if len(shown) == 3 else ".")
        )
        figure = averages(
            component.name, caption, waveforms(groups, component), maps if len(shown) == 3 else maps[:0],
            (component.tmin, component.tmax), legend="Condition", negative=self.negative,
        )  # fmt: skip
        figure.save(folder)


def within(components: Sequence[Component], groups: Groups) -> tuple[tuple[Component, ...], list[str]]:
    """Return the components whose windows the averages hold, and a line on each that is left out.

    Raises
    ------
    DataError
        When there is none.
    """
    found = [evoked for evokeds in groups.values() for evoked in evokeds]
    start, end = max(one.tmin for one in found), min(one.tmax for one in found)
    kept = tuple(one for one in components if one.within(start, end))
    covered = f"the averages cover {1e3 * start:g} to {1e3 * end:g} ms"
    if not kept:
        raise DataError(f"{covered}, the window of no component; give one with --window")
    left = [f"{one.name} is left out: {covered}, not {one.window}" for one in components if one not in kept]
    return kept, left
