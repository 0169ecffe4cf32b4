"""Every optimizer ends at the likelihood's maximum, or says that it did not; the table is in the report of a full run."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clada_neuro.artifacts import plain
from clada_neuro.errors import FitError
from clada_neuro.records.fits import FitRecord
from clada_neuro.reporting.sections.diagnostics import optimizers
from clada_neuro.stats.engines.mixedlm import OPTIMIZERS, MixedlmDesign
from clada_neuro.stats.mixed import MixedFit, estimate
from clada_neuro.stats.model import specify
from clada_neuro.stats.specification import ModelSpecification
from clada_neuro.stats.stage import fit_models


def trials() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    subject, item = np.divmod(np.arange(15 * 12), 12)
    x = rng.normal(size=180)
    y = (0.5 + 0.4 * rng.normal(size=15)[subject]) * x + rng.normal(size=12)[item] + rng.normal(size=180)
    return pd.DataFrame({"n400_uv": y, "x": x, "subject": subject, "item": item})


FORMULA = "n400_uv ~ x + (1 + x | subject) + (1 | item)"


@pytest.fixture(scope="module")
def fit() -> MixedFit:
    return estimate(specify(trials(), FORMULA))


def test_all_of_them_agree_on_a_plain_model(fit: MixedFit) -> None:
    table = fit.allfit()
    assert table["optimizer"].tolist() == ["the fit", *OPTIMIZERS]
    assert table["loglik"][0] == fit.loglik
    assert table["below"].min() == 0
    agreeing = table[table["below"] < 0.01]
    assert {"the fit", "L-BFGS-B", "COBYQA"} <= set(agreeing["optimizer"])
    assert (agreeing["off"].abs() < 0.02).all()


def test_one_that_breaks_down_has_no_numbers(fit: MixedFit, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = MixedlmDesign.by

    def by(self: MixedlmDesign, name: str) -> object:
        if name == "TNC":
            raise FitError("no")
        return whole(self, name)

    monkeypatch.setattr(MixedlmDesign, "by", by)
    row = fit.allfit(["x"]).set_index("optimizer").loc["TNC"]
    assert not row["converged"]
    assert np.isnan(row["loglik"])
    with pytest.raises(FitError, match="no term 'z'"):
        fit.allfit(["z"])


def test_a_full_run_keeps_it_for_the_report(tmp_path: Path) -> None:
    model = ModelSpecification("m", FORMULA, directions={"x": "positive"})
    (entry,) = fit_models(trials(), (model,), tmp_path / "fits.json", "id", optimizers=True)
    assert [row["term"] for row in entry["allfit"]] == ["x"] * (1 + len(OPTIMIZERS))
    kept = plain(entry)
    table = optimizers([FitRecord.of(kept)])
    assert table is not None
    assert table.frame["optimizer"].tolist()[0] == "the fit"
    assert optimizers([FitRecord.of({**kept, "allfit": []})]) is None


def test_what_is_not_refitted_of_counts_is_said_a_line_each(tmp_path: Path) -> None:
    data = trials()
    data["hits"] = np.random.default_rng(1).poisson(np.exp(data["x"] / 4))
    model = ModelSpecification("m", "hits ~ x + (1 | subject) + (1 | item)", family="poisson")
    (entry,) = fit_models(
        data, (model,), tmp_path / "fits.json", "id", optimizers=True, influence=True, replicates=2
    )
    for what in ("fits by every optimizer", "fits without single levels", "intervals of R²"):
        (line,) = [line for line in entry["warnings"] if what in line]
        assert line.endswith("are offered for linear models only, and 'm' is poisson")
