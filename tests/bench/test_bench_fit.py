"""The benchmark of mixed models times what a user would call, and says what was fitted."""

import shutil

import numpy as np
import pandas as pd
import pytest
from command_line import clada

from clada_neuro.artifacts import read_json
from clada_neuro.bench.fit_speed import FORMULAS, bench_fit
from clada_neuro.errors import DataError
from clada_neuro.stats.mixed import fit


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    rng = np.random.default_rng(0)
    words = pd.DataFrame(rng.normal(size=(40, 3)), columns=["surprisal_bits", "sparsity_energy99", "cloze"])
    words["item"], words["stimulus"] = np.arange(40) // 2, np.arange(40)
    table = words.merge(pd.DataFrame({"subject": np.arange(12)}), how="cross")
    effects = rng.normal(size=12)[table["subject"]] + rng.normal(size=40)[table["stimulus"]]
    path = tmp_path_factory.mktemp("bench") / "trials.parquet"
    table.assign(n400_uv=effects - 0.5 * table["surprisal_bits"] + rng.normal(0, 3, len(table))).to_parquet(
        path
    )
    return path


def test_each_model_is_timed_in_every_engine_that_is_there(trials):
    table = bench_fit(rounds=2, trials=trials)
    engines = 2 if shutil.which("Rscript") else 1
    assert len(table) == engines * len(FORMULAS)
    ours = table.loc[table["engine"] == "mixedlm"].set_index("model")
    assert (ours["seconds"] > 0).all()
    assert (ours["n_obs"] == 480).all()
    again = fit(pd.read_parquet(trials), FORMULAS["cloze"], standardize=True)
    assert ours.loc["cloze", "loglik"] == pytest.approx(again.loglik, abs=1e-6)


def test_the_command_writes_its_rows(trials, tmp_path, capsys):
    out = tmp_path / "fit.json"
    done = clada(capsys, "bench", "fit", "--rounds", 1, "--trials", trials, "--json", out)
    assert done.code == 0
    assert {row["model"] for row in read_json(out)} == set(FORMULAS)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="no trials at"):
        bench_fit(trials=tmp_path / "none.parquet")
