"""What climbing the ladders of the human analysis gave."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pandas as pd

from clada_neuro.records.record import Part
from clada_neuro.stats.compare import adjust

_TABLES = ("tests", "coefficients", "rungs", "policies")
BOOTSTRAPPED = ("delta_r2_low", "delta_r2_high", "p_null")


class CountedRows(Part, frozen=True, kw_only=True):
    """Rows of one question, and how much of the stimuli's means could be explained at all.

    Attributes
    ----------
    ceiling, ceiling_low, ceiling_high : float or None
        Reliability of the stimuli's means over subjects; None where rows have no subjects.
    r2_of_means_surprisal : float or None
        What surprisal explains of these means.
    steps_left_out : str
        Optional steps that the rows do not allow.
    """

    question: str
    n_obs: int
    n_incomplete: int
    n_stimuli: int
    n_surprisal_values: int
    ceiling: float | None = None
    ceiling_low: float | None = None
    ceiling_high: float | None = None
    r2_of_means_surprisal: float | None = None
    steps_left_out: str = ""


@dataclass(frozen=True)
class Climbed:
    """One question's steps, or those of several.

    Attributes
    ----------
    tests, coefficients : pandas.DataFrame
        A row a step, and a row an added term (REML).
    rungs : pandas.DataFrame
        The random parts that were tried, one a row, and what was taken out.
    counts : list of CountedRows
        One a question.
    policies : pandas.DataFrame
        A row a policy and step: exploratory.
    """

    tests: pd.DataFrame
    coefficients: pd.DataFrame
    rungs: pd.DataFrame
    counts: list[CountedRows]
    policies: pd.DataFrame = field(default_factory=pd.DataFrame)

    @classmethod
    def joined(cls, parts: Sequence["Climbed"]) -> "Climbed":
        """Put the steps of several questions below each other; p is adjusted over all steps of a component."""
        tables = {
            name: pd.concat([getattr(part, name) for part in parts], ignore_index=True)
            for name in ("coefficients", "rungs")
        }
        # One family: dense traces and policies together.
        tests = pd.concat([one for part in parts for one in (part.tests, part.policies)], ignore_index=True)
        tests = adjust(tests, family="component")
        dense = tests["policy"].isna() if "policy" in tests else pd.Series(True, index=tests.index)
        kept = tests.loc[dense].drop(columns="policy", errors="ignore").reset_index(drop=True)
        counts = [one for part in parts for one in part.counts]
        return cls(kept, **tables, counts=counts, policies=tests.loc[~dense].reset_index(drop=True))

    @property
    def questions(self) -> list[str]:
        """The questions' names, in order."""
        return list(dict.fromkeys(self.tests["question"]))

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, as JSON holds them."""
        tables = {name: getattr(self, name).to_dict("records") for name in _TABLES}
        return {**tables, "counts": [one.row() for one in self.counts]}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Climbed":
        """Read back what `to_dict` gave; null is a missing number."""
        tables = {name: pd.DataFrame(stored[name]) for name in _TABLES}
        for name in ("tests", "policies"):
            found = tables[name]
            tables[name] = found.astype({key: float for key in BOOTSTRAPPED if key in found})
        return cls(counts=msgspec.convert(stored["counts"], list[CountedRows]), **tables)
