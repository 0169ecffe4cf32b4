"""A new data set is an entry of the registry and a loader: listed, checked, read, analyzed and reported in its own unit."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import clada
from tiny_models import tiny_checkpoint

from clada_neuro.artifacts import package_data, read_json, read_table
from clada_neuro.stimuli import datasets, registry, sets

ENTRY = """
[sources.paced2020]
kind = "reading"
url = "https://example.org/paced/"
licence = "CC0"
citation = "Nobody 2020, Paces"

[sources.paced2020.files]
"paced.csv" = {{ path = "paced.csv", sha256 = "{sum}" }}

[sets.paced2020]
title = "Self-paced reading times to every word of fourteen sentences"
source = "paced2020"
files = ["paced.csv"]
loader = "paced"
language = "en"
citation = "Nobody 2020, Paces"
components = []
"""


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set's file in a folder of data, its entry behind those of the registry, its loader among the others."""
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "data" / "paced2020").mkdir(parents=True)
    file = folder / "data" / "paced2020" / "paced.csv"
    _times().to_csv(file, index=False)
    entry = ENTRY.format(sum=hashlib.sha256(file.read_bytes()).hexdigest())
    known = package_data("registry.toml").read_text(encoding="utf-8")
    (folder / "registry.toml").write_text(known + entry, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "package_data", folder.joinpath)
        patch.setattr(sets, "__path__", [*sets.__path__, str(Path(__file__).parent / "newcomers")])
        patch.setenv("CLADA_NEURO_DATA", str(folder / "data"))
        registry.registry.cache_clear()
        yield folder
    registry.registry.cache_clear()


def _times() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    texts = [[f"w{number}" for number in rng.integers(2, 97, 7)] for _ in range(14)]
    rows = [
        (f"s{person}", sentence, place, word, round(250 + rng.gamma(2, 70)))
        for person in range(8)
        for sentence, words in enumerate(texts)
        for place, word in enumerate(words, start=1)
    ]
    frame = pd.DataFrame(rows, columns=["subject", "sentence", "place", "word", "ms"])
    frame.loc[:4, "ms"] = 60
    return frame


def test_it_is_listed_and_found(added: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "paced2020" in datasets.names()
    listed = clada(capsys, "data", "list").out
    assert "Self-paced reading times to every word of fourteen sentences" in listed
    assert clada(capsys, "data", "path", "paced2020").out.strip() == str(added / "data" / "paced2020")
    assert "did you mean 'paced2020'" in clada(capsys, "run", "paced2002").complaint
    assert "sets with responses are nieuwland2018" in (refused := clada(capsys, "run", "kim2005").complaint)
    assert refused.endswith(", paced2020")


def test_it_is_run_to_a_report_of_milliseconds(
    added: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = tiny_checkpoint(tmp_path / "model"), tmp_path / "out"
    done = clada(capsys, "run", "paced2020", "--model", model, "--out", out, "--jobs", 1)
    assert done.code == 0, done.err
    manifest = read_json(out / "manifest.json")
    assert [(one["step"], one["rows_removed"]) for one in manifest["exclusions"]] == [("too fast", 5)]
    assert manifest["dataset"]["citation"] == "Nobody 2020, Paces"
    trials = read_table(out / "trials.parquet")
    assert len(trials) == 8 * 14 * 7 - 5
    (fit,) = read_json(out / "fits.json")
    assert fit["formula"].startswith("rt_ms ~ ")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Nobody 2020, Paces" in page
    assert "reading times" in page
    assert "\u00a0ms" in page or " ms" in page
    assert "µV" not in page
