import json
from dataclasses import dataclass

import pandas as pd
import pytest

from clada_neuro.artifacts import read_provenance, write_json
from clada_neuro.errors import DataError
from clada_neuro.reporting.build import report
from clada_neuro.reporting.store import store


@dataclass
class Alignment:
    trials: pd.DataFrame
    joins: list[dict]
    notes: tuple[str, ...]


@dataclass
class Entry:
    entry: dict

    def to_dict(self) -> dict:
        return self.entry


def test_what_a_session_computed_stands_beside_the_trace(tmp_path):
    write_json(tmp_path / "manifest.json", {"model": {"model": "m"}})
    joins = [{"step": "s", "rows_before": 1, "rows_removed": 0, "rows_after": 1, "reason": "r"}]
    store(
        tmp_path,
        Alignment(pd.DataFrame({"n400_uv": [1.0]}), joins, ("one",)),
        [Entry({"name": "a"})],
        Entry({"term": "x:y"}),
    )
    assert pd.read_parquet(tmp_path / "trials.parquet")["n400_uv"].tolist() == [1.0]
    assert read_provenance(tmp_path / "trials.parquet")["joins"] == joins
    expected = {"model": {"model": "m"}, "joins": joins, "notes": ["one"]}
    assert json.loads((tmp_path / "manifest.json").read_text()) == expected
    assert json.loads((tmp_path / "fits.json").read_text()) == [{"name": "a"}]
    assert json.loads((tmp_path / "synergy.json").read_text()) == {"term": "x:y"}


def test_without_results_nothing_is_written(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        report(tmp_path / "new")
    assert not (tmp_path / "new").exists()
