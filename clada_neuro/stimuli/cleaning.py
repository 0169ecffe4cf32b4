"""Exclusions that are counted: what each cleaning step removed, and why."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from clada_neuro.losses import step as lost


@dataclass(frozen=True)
class Trials:
    """Human responses, one row a subject × stimulus word, and what was removed to get there.

    ``exclusions`` has the columns ``step``, ``reason``, ``rows_before``, ``rows_removed`` and ``rows_after``.
    """

    frame: pd.DataFrame
    exclusions: pd.DataFrame


class Cleaning:
    """A table under cleaning; `remove` drops rows and remembers how many."""

    def __init__(self, frame: pd.DataFrame):
        self.frame = frame
        self._steps: list[dict[str, Any]] = []

    def remove(self, rows: pd.Series, step: str, reason: str) -> None:
        """Drop the rows where ``rows`` is true; a step that removes none is listed with 0."""
        before, removed = len(self.frame), int(rows.sum())
        self.frame = self.frame[~rows]
        self._steps.append(lost(step, before, removed, reason))

    def exclusions(self) -> pd.DataFrame:
        """Return the steps in order."""
        columns = ["step", "reason", "rows_before", "rows_removed", "rows_after"]
        return pd.DataFrame(self._steps, columns=columns)

    def trials(self, columns: list[str]) -> Trials:
        """Return the cleaned table's ``columns`` with the exclusions."""
        return Trials(self.frame[columns].reset_index(drop=True), self.exclusions())
