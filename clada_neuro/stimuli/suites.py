"""SyntaxGym suites, whose outcome is an accuracy, as stimuli with predictions.

A suite's predictions stand in ``attrs["predictions"]`` of its stimulus table, a mapping for each with ``suite``, ``name`` and
``formula`` (`clada_neuro.stimuli.predictions`); the column ``suite`` says which texts they are about.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro.errors import StimulusError
from clada_neuro.stimuli.files import RawTable
from clada_neuro.stimuli.predictions import Prediction
from clada_neuro.stimuli.segments import join_pieces

ALL = "*"  # every region


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
