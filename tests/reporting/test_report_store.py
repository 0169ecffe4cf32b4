from dataclasses import dataclass, replace

import pandas as pd
import pytest

from clada_neuro.artifacts import read_json, read_provenance, write_json, write_table
from clada_neuro.errors import DataError
from clada_neuro.reporting.build import report
from clada_neuro.reporting.store import store
from clada_neuro.responses.alignment import Alignment

JOINS = [{"step": "s", "rows_before": 1, "rows_removed": 0, "rows_after": 1, "reason": "r"}]


def aligned(amplitude: float) -> Alignment:
    lost = pd.DataFrame({"n400_uv": [2.0], "reason": ["no such text"]})
    return Alignment(pd.DataFrame({"n400_uv": [amplitude]}), lost, JOINS)


@dataclass
class Entry:
    entry: dict

    def to_dict(self) -> dict:
        return self.entry


def fitted(name: str) -> Entry:
    return Entry({"name": name, "formula": "y ~ x", "response": "y", "coefficients": {}, "n_obs": 1})


_RATIO = {"chi2": 1.0, "df": 1, "p": 0.3, "delta_loglik_per_trial": 0.1}
_B = {"estimate": 1.0, "se": 1.0, "p": 0.3, "ci_low": -1.0, "ci_high": 3.0}
_R2 = (
    "marginal_baseline",
    "marginal_full",
    "conditional_full",
    "synergy",
    "synergy_common",
    "synergy_without_squares",
)
INTERACTION = Entry(
    {"term": "x:y", "response": "z", "predictors": ["x", "y"], "n_obs": 1, "test": _RATIO, "coefficient": _B}
    | {f"r2_{name}": 0.1 for name in _R2}
)


def test_what_a_session_computed_stands_beside_the_trace(tmp_path):
    write_json(tmp_path / "manifest.json", {"model": {"model": "m"}})
    store(tmp_path, aligned(1.0), [fitted("a")], INTERACTION)
    assert pd.read_parquet(tmp_path / "trials.parquet")["n400_uv"].tolist() == [1.0]
    assert pd.read_parquet(tmp_path / "unmatched.parquet")["n400_uv"].tolist() == [2.0]
    provenance = read_provenance(tmp_path / "trials.parquet")
    assert provenance["joins"] == JOINS
    about = {"joins": JOINS, "notes": []}
    assert read_json(tmp_path / "manifest.json") == {"model": {"model": "m"}, **about, "schema": 2}
    assert read_json(tmp_path / "fits.json") == [
        fitted("a").entry | {"trials": provenance["inputs"], "schema": 2}
    ]
    assert read_json(tmp_path / "synergy.json") == INTERACTION.entry | {
        "trials": provenance["inputs"],
        "schema": 2,
    }


def test_what_an_earlier_call_estimated_on_other_trials_goes(tmp_path):
    store(tmp_path, aligned(1.0), [fitted("a")], INTERACTION)
    with pytest.warns(UserWarning, match=r"synergy\.json' was estimated on other trials and is removed"):
        store(tmp_path, aligned(3.0), [fitted("b")], None)
    assert not (tmp_path / "synergy.json").exists()
    assert read_json(tmp_path / "fits.json")[0]["name"] == "b"


def test_what_an_earlier_call_estimated_on_the_same_trials_stays(tmp_path):
    store(tmp_path, aligned(1.0), [fitted("a")], None)
    store(tmp_path, None, (), INTERACTION)
    store(tmp_path, aligned(1.0), [fitted("b")], None)
    assert read_json(tmp_path / "synergy.json")["term"] == "x:y"
    assert read_json(tmp_path / "fits.json")[0]["name"] == "b"


def test_estimates_that_say_nothing_of_their_trials_do_not_stand_beside_new_ones(tmp_path):
    write_json(tmp_path / "synergy.json", INTERACTION.entry)
    with pytest.warns(UserWarning, match="is removed"):
        store(tmp_path, None, [fitted("a")], None)
    assert not (tmp_path / "synergy.json").exists()


def test_what_a_run_says_of_its_own_trials_goes_with_them(tmp_path):
    run = {
        "inputs": "t",
        "model": {"model": "m"},
        "simulated": True,
        "exclusions": [JOINS[0]],
        "title": "Demo",
    }
    write_json(tmp_path / "manifest.json", run)
    store(tmp_path, replace(aligned(1.0), trace="t"), (), None)
    assert set(read_json(tmp_path / "manifest.json")) == {"inputs", "model", "joins", "notes", "schema"}


def test_trials_of_another_trace_are_refused_where_a_trace_lies(tmp_path):
    write_json(tmp_path / "manifest.json", {"inputs": "one"})
    write_table(pd.DataFrame({"word": ["a"]}), tmp_path / "words.parquet", {"inputs": "one"})
    with pytest.raises(DataError, match=r"words of the trace other, .* holds the trace one; choose another"):
        store(tmp_path, replace(aligned(1.0), trace="other"), (), None)


def test_without_results_nothing_is_written(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        report(tmp_path / "new")
    assert not (tmp_path / "new").exists()
