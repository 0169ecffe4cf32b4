"""Contrasts between conditions that are registered in contrasts.toml, and what they are within items."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from clada_neuro import read_stimuli
from clada_neuro.artifacts import package_data
from clada_neuro.stimuli import datasets


@dataclass(frozen=True)
class Contrast:
    """A difference within items.

    `human` names the published response that is larger in `high` than in `low`, `without` one that is not.
    """

    set: str
    high: str
    low: str
    human: str
    minus: tuple[str, ...] = ()
    where: str = ""
    without: str = ""
    note: str = ""

    @property
    def name(self) -> str:
        """The contrast in words."""
        first = f"{self.high} − {self.low}"
        return f"({first}) − ({' − '.join(self.minus)})" if self.minus else first

    @property
    def signs(self) -> dict[str, int]:
        """Condition to +1 or −1."""
        return {self.high: 1, self.low: -1, **dict(zip(self.minus, (-1, 1), strict=False))}


def registered() -> list[Contrast]:
    document = tomllib.loads(Path(__file__).with_name("contrasts.toml").read_text(encoding="utf-8"))
    return [Contrast(**{**entry, "minus": tuple(entry.get("minus", ()))}) for entry in document["contrast"]]


def stimuli(name: str, limit: int | None) -> pd.DataFrame:
    own = package_data("stimuli", f"{name}.csv")
    frame = read_stimuli(own) if own.is_file() else datasets.load(name)
    if "contrast" in frame:
        frame["condition"] = frame["contrast"] + " " + frame["condition"]
    return frame.loc[frame["item"].isin(frame["item"].unique()[:limit])]


def differences(words: pd.DataFrame, contrast: Contrast, measure: str) -> pd.Series:
    """Return the contrast's difference in each item that has one of its conditions; NaN where another is missing.

    Parameters
    ----------
    words : pandas.DataFrame
        Critical words, one row an item and condition.
    """
    kept = words.query(contrast.where) if contrast.where else words
    by_condition = kept.pivot(index="item", columns="condition", values=measure)
    by_condition = by_condition.reindex(columns=list(contrast.signs))
    return by_condition.dropna(how="all").mul(contrast.signs).sum(axis=1, skipna=False)
