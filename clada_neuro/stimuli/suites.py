"""Sets whose outcome is an accuracy: SyntaxGym suites and minimal pairs, as stimuli with predictions.

A suite's predictions stand in ``attrs["predictions"]`` of its stimulus table, a mapping for each with ``suite``, ``name`` and
``formula`` (`clada_neuro.stimuli.predictions`); the column ``suite`` says which texts they are about.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro.errors import StimulusError
from clada_neuro.stimuli.files import RawTable
from clada_neuro.stimuli.predictions import Prediction
from clada_neuro.stimuli.segments import join_pieces

ALL = "*"  # every region
# BLiMP's names of its two sentences, and of the phenomenon that a pair is about.
_GOOD, _BAD, _PHENOMENON = "good", "bad", "UID"


def is_suite(document: Any) -> bool:
    """Return whether a JSON document is a SyntaxGym suite."""
    return isinstance(document, dict) and "items" in document


def suite_table(document: Mapping[str, Any], path: str | Path) -> tuple[RawTable, list[dict[str, str]]]:
    """Return the texts of a SyntaxGym suite, a row for each item and condition, and its predictions.

    A sentence is its regions joined by spaces, without one before a closing mark; empty regions are left out. Regions
    are named by their number.

    Raises
    ------
    StimulusError
        With the place of what is missing, and for a prediction that names a condition or region that is not there.
    """
    name = str(document.get("meta", {}).get("name") or Path(path).stem)
    rows = [
        _text(path, name, item, condition)
        for item in document["items"]
        for condition in _part(path, item, "conditions", f"an item of {name}")
    ]
    if not rows:
        raise StimulusError(f"'{path}' is empty: the suite has no items")
    frame = pd.DataFrame(rows, dtype=object)
    stated = [
        Prediction(str(one.get("name") or f"prediction {number}"), _formula(path, one, number))
        for number, one in enumerate(document.get("predictions", []), start=1)
    ]
    known = {(row["condition"], region) for row in rows for region in (ALL, *row["all_regions"])}
    for one in stated:
        if unknown := sorted(one.regions() - known):
            condition, region = unknown[0]
            raise StimulusError(
                f"'{path}': the {one.name} '{one.formula}' names region {region} of condition '{condition}', which is not there; "
                f"conditions are {', '.join(sorted({name for name, _ in known}))}"
            )
    table = RawTable(
        frame.drop(columns="all_regions"), [row["item"] for row in rows], f"'{path}'", is_text=False
    )
    return table, [{"suite": name, "name": one.name, "formula": one.formula} for one in stated]


def _text(
    path: str | Path, suite: str, item: Mapping[str, Any], condition: Mapping[str, Any]
) -> dict[str, Any]:
    number = str(_part(path, item, "item_number", f"an item of {suite}"))
    where = f"item {number}"
    label = str(_part(path, condition, "condition_name", where))
    regions = [
        (str(_part(path, one, "region_number", where)), str(one.get("content") or "").strip())
        for one in _part(path, condition, "regions", f"{where}, condition {label}")
    ]
    words = [(word, region) for region, content in regions for word in content.split()]
    return {
        "suite": suite,
        "item": number,
        "condition": label,
        "sentence": join_pieces([content for _, content in regions]),
        "words": [word for word, _ in words],
        "regions": [region for _, region in words],
        "all_regions": [region for region, _ in regions],
    }


def _part(path: str | Path, of: Any, name: str, where: str) -> Any:
    if not isinstance(of, dict) or name not in of:
        raise StimulusError(f"'{path}': {where} lacks '{name}', as SyntaxGym suites have it")
    return of[name]


def _formula(path: str | Path, stated: Mapping[str, Any], number: int) -> str:
    if stated.get("type", "formula") != "formula" or not stated.get("formula"):
        raise StimulusError(
            f"'{path}': prediction {number} has no formula, such as (6;%mismatch%) > (6;%match%); it has "
            f"{', '.join(f'{key} {value}' for key, value in stated.items())}"
        )
    return str(stated["formula"])


def are_pairs(table: RawTable) -> bool:
    """Return whether a table has the two sentences of a minimal pair in each row."""
    return {f"sentence_{_GOOD}", f"sentence_{_BAD}"} <= set(table.frame.columns)


def pairs(stimuli: pd.DataFrame, path: str | Path | None) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """Return minimal pairs with their suite, and the prediction that the bad sentence surprises more.

    A suite is what a column ``UID`` names (BLiMP), else the file.
    """
    if "suite" not in stimuli:
        named = (
            stimuli[_PHENOMENON].astype(str)
            if _PHENOMENON in stimuli
            else Path(path).stem
            if path
            else "pairs"
        )
        stimuli = stimuli.assign(suite=named)
    formula = f"({ALL};%{_BAD}%) > ({ALL};%{_GOOD}%)"
    return stimuli, [
        {"suite": str(suite), "name": "good before bad", "formula": formula}
        for suite in stimuli["suite"].unique()
    ]


def together(tables: Sequence[pd.DataFrame], names: Sequence[str]) -> pd.DataFrame:
    """Return the stimuli of several files as one table, with items and texts named by file, too."""
    named = [
        table.assign(**{column: f"{name}-" + table[column].astype(str) for column in ("item", "stimulus_id")})
        for table, name in zip(tables, names, strict=True)
    ]
    made = pd.concat(named, ignore_index=True)
    for key in ("notes", "predictions"):
        made.attrs[key] = [one for table in tables for one in table.attrs.get(key, [])]
    made.attrs["notes"] = list(dict.fromkeys(made.attrs["notes"]))
    return made
