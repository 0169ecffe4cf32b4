"""Documents as typed records: what is refused when written and when read, and that older folders still open."""

import json
import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

import pandas as pd
import pytest
from scipy.special import ndtri
from scipy.stats import norm

from clada_neuro import records
from clada_neuro.artifacts import plain, read_json, write_json
from clada_neuro.errors import DataError
from clada_neuro.records.epochs import EpochsRecord
from clada_neuro.records.fits import FitRecord, PooledRecord
from clada_neuro.records.manifest import Manifest
from clada_neuro.records.maps import MapsRecord
from clada_neuro.records.overlap import OverlapRecord
from clada_neuro.records.record import Part
from clada_neuro.records.synergy import SynergyRecord
from clada_neuro.stats.checks import checks
from clada_neuro.stats.mixed import fit

OLD = json.loads(
    (Path(__file__).parent.parent / "reference" / "documents_v1.json").read_text(encoding="utf-8")
)
KINDS = {
    "fits": FitRecord,
    "synergy": SynergyRecord,
    "pooled": PooledRecord,
    "erp": EpochsRecord,
    "manifest": Manifest,
    "maps": MapsRecord,
    "overlap": OverlapRecord,
}
ENTRY = {"name": "a", "formula": "y ~ x", "response": "y", "coefficients": {}, "n_obs": 4, "schema": 2}


@pytest.mark.parametrize("name", KINDS)
def test_documents_without_a_version_open(name, tmp_path):
    path = tmp_path / f"{name}.json"
    write_json(path, OLD[name])
    assert KINDS[name].read_all(path)


def test_what_version_1_lacked_is_filled_in():
    (entry,) = (FitRecord.of(one) for one in OLD["fits"])
    assert entry.response == "n400_uv"
    assert entry.residual_quantiles.normal == pytest.approx(ndtri(entry.residual_quantiles.p))
    first = entry.linearity["surprisal_bits"][0]
    assert first.ci_high - first.residual == pytest.approx(norm.ppf(0.975) * first.se)
    moved = entry.influence_ranges[0]
    estimates = [row["estimate"] for row in OLD["fits"][0]["influence"]["subject"]]
    assert (moved.n_levels, moved.lowest, moved.highest) == (len(estimates), min(estimates), max(estimates))
    (pooled,) = (PooledRecord.of(one) for one in OLD["pooled"])
    assert pooled.t == pooled.estimate / pooled.se
    assert pooled.n_negative == 3


def test_an_unknown_version_is_refused_in_one_line(tmp_path):
    write_json(tmp_path / "fits.json", [ENTRY, {**ENTRY, "schema": 7}])
    with pytest.raises(
        DataError, match=r"fits\.json', entry 2 has version 7 of its format, versions up to 2"
    ) as error:
        FitRecord.read_all(tmp_path / "fits.json")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"coefficients": None},
            r"entry 1 does not hold what a FitRecord does: expected `object`, got `null`",
        ),
        ({"coefficients": {"x": {"estimate": 1.0}}}, r"missing required field `se` - at `\$\.coefficients"),
        (
            {"n_obs": "many"},
            r"expected `int`, got `str` - at `\$\.n_obs`; run the command that writes it again",
        ),
    ],
)
def test_a_missing_field_or_another_kind_is_named_in_one_line(tmp_path, changed, told):
    write_json(tmp_path / "fits.json", [{**ENTRY, **changed}])
    with pytest.raises(DataError, match=told) as error:
        FitRecord.read_all(tmp_path / "fits.json")
    assert "\n" not in str(error.value)


def test_a_stage_cannot_write_what_no_record_names():
    with pytest.raises(
        TypeError, match=r"FitRecord has no field extra; add it to 'clada_neuro\.records\.fits'"
    ):
        FitRecord.checked({**ENTRY, "extra": 1})
    with pytest.raises(TypeError, match="missing required field `formula`"):
        FitRecord.checked({"name": "a"})


def test_a_document_is_written_as_its_stage_made_it(tmp_path):
    given = {**ENTRY, "sigma": float("nan")}
    FitRecord.write_all(tmp_path / "fits.json", [given])
    assert read_json(tmp_path / "fits.json") == [{**ENTRY, "sigma": None}]


def test_no_list_is_refused(tmp_path):
    write_json(tmp_path / "fits.json", [1])
    with pytest.raises(DataError, match="holds no list of FitRecords; delete it and run its step again"):
        FitRecord.read_all(tmp_path / "fits.json")


def test_a_fit_says_which_rows_it_used(simple_trials):
    trials = simple_trials.assign(age=1.0)
    trials.loc[trials.index[:7], "x"] = None
    trials.loc[trials.index[5:9], "y"] = None
    found = fit(trials, "y ~ x + (1 | subject)")
    entry = FitRecord.of(plain(found.to_dict() | checks(found, ["x"])))
    used = trials.dropna(subset=["x", "y"])
    assert entry.used.groups == {"subject": used["subject"].nunique(), "item": used["item"].nunique()}
    assert entry.used.missing == {"x": 7, "y": 4}
    assert (entry.n_obs, entry.n_dropped) == (len(used), 9)
    curve = entry.curves["x"]
    assert curve.ci_low[0] == pytest.approx(curve.estimate[0] - norm.ppf(0.975) * curve.se[0])


@pytest.fixture
def simple_trials() -> pd.DataFrame:
    import numpy as np

    random = np.random.default_rng(3)
    frame = pd.DataFrame({"subject": np.repeat(list("abcdefgh"), 12), "item": np.tile(np.arange(12), 8)})
    frame["x"] = random.normal(size=len(frame))
    frame["y"] = frame["x"] + random.normal(size=len(frame)) + frame["subject"].map(ord) / 5
    return frame


# What a field holds without a form of its own, and why; `settings` are as a command or a file has them.
FREE = {
    "FitRecord.specified_contrasts": "as the analysis file wrote them: a name, or codes by level",
}


def test_every_field_of_a_record_has_a_form():
    for module in pkgutil.iter_modules(records.__path__):
        import_module(f"{records.__name__}.{module.name}")
    found, kinds = set(), [Part]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        if kind.__module__.startswith(records.__name__):
            found |= {
                f"{kind.__name__}.{name}" for name, hint in get_type_hints(kind).items() if _is_free(hint)
            }
    assert {name for name in found if not name.endswith(".settings")} == set(FREE)


def _is_free(hint) -> bool:
    return hint is Any or (get_origin(hint) is not ClassVar and any(map(_is_free, get_args(hint))))
