import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import pandas as pd
import pytest
from click.testing import CliRunner
from run_folder import EVIL, FORMULA, write_folder

from clada_neuro.cli.report import command
from clada_neuro.errors import DataError
from clada_neuro.reporting.build import report

SECTIONS = (
    "findings", "run", "stimuli", "conditions", "sentences", "distributions", "effects", "curves", "coefficients", "synergy", "erp",
    "diagnostics", "paper", "script", "provenance", "limits",
)  # fmt: skip
OPTIONAL = (
    "stimuli.parquet", "tokens.parquet", "layers.parquet", "words.parquet", "trials.parquet", "fits.json",
    "synergy.json", "manifest.json",
)  # fmt: skip


@pytest.fixture(scope="module")
def page(page_file) -> str:
    return page_file.read_text(encoding="utf-8")


@pytest.fixture
def small_folder(full_folder, tmp_path) -> Path:
    shutil.copy(full_folder / "fits.json", tmp_path)
    return tmp_path


def test_has_every_section_in_order(page):
    assert tuple(re.findall(r'<section id="(\w+)"', page)) == SECTIONS


def test_names_simulated_data_in_title_and_banner(page):
    assert "<title>Simulated data: Demonstration</title>" in page
    assert "SIMULATED data: 10 simulated subjects." in page


def test_escapes_text_from_stimuli(page):
    assert EVIL not in page
    assert "&lt;script&gt;" in page
    assert "<script" not in page


def test_is_self_contained(page):
    references = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert references
    assert all(reference.startswith(("data:", "#")) for reference in references)
    assert "@import" not in page
    assert "url(" not in page


def test_every_image_has_a_text(page):
    linked = r'<a href="#figure-[^"]+"><img [^>]*alt=""><span>[^<]{20,}</span></a>'  # its caption is the link's text
    images = re.findall(r"<img [^>]*>", re.sub(linked, "", page))
    assert images
    assert all(re.search(r'alt="[^"]{20,}"', image) for image in images)


def test_rebuilds_the_same_bytes_from_the_tables_alone(full_folder, page, tmp_path):
    for file in full_folder.iterdir():
        if file.suffix in (".parquet", ".json"):
            shutil.copy(file, tmp_path)
    shutil.copytree(full_folder / "erp", tmp_path / "erp")
    assert report(tmp_path).read_text(encoding="utf-8") == page


@pytest.mark.parametrize(
    "present",
    [
        ("words.parquet",),
        ("fits.json", "manifest.json"),
        ("fits.json", "trials.parquet"),
        ("stimuli.parquet", "tokens.parquet", "layers.parquet"),
    ],
)
def test_says_what_is_absent(full_folder, tmp_path, present):
    for name in present:
        shutil.copy(full_folder / name, tmp_path)
    text = report(tmp_path).read_text(encoding="utf-8")
    shown = [name for name in SECTIONS if name != "conditions" or "trials.parquet" in present]
    assert re.findall(r'<section id="(\w+)"', text) == shown
    assert [name for name in OPTIONAL if f"{name} (" in text] == [n for n in OPTIONAL if n not in present]


def test_figures_and_tables_stand_beside_the_page(full_folder, page):
    names = re.findall(r'<figure id="figure-([^"]+)"', page)
    for name in names:
        assert (full_folder / "figures" / f"{name}.svg").is_file()
        assert (full_folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    csv = pd.read_csv(full_folder / "tables" / "coefficients_n400_surprisal_sparsity.csv")
    fit = json.loads((full_folder / "fits.json").read_text())[0]
    assert csv.set_index("term")["estimate"].to_dict() == {
        term: values["estimate"] for term, values in fit["coefficients"].items()
    }


def test_csv_holds_no_formula(full_folder, page):
    for path in (full_folder / "tables").glob("*.csv"):
        for column, values in pd.read_csv(path, dtype=str, encoding="utf-8-sig").items():
            assert not str(column).startswith(("=", "+", "@"))
            assert not values.dropna().str.startswith(("=", "+", "@")).any(), f"{path.name}: {column}"


def test_leaves_matplotlib_as_it_was(small_folder):
    before = dict(matplotlib.rcParams)
    report(small_folder)
    assert dict(matplotlib.rcParams) == before


def test_imports_no_torch(small_folder):
    code = f"""
import sys
from clada_neuro.reporting.build import report
report({str(small_folder)!r})
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_refuses_a_folder_without_tables(tmp_path):
    with pytest.raises(DataError, match="holds none of"):
        report(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        report(tmp_path / "nowhere")


def test_names_a_damaged_file(small_folder):
    (small_folder / "words.parquet").write_bytes(b"PAR1 not a table")
    with pytest.raises(DataError, match=r"words\.parquet"):
        report(small_folder)


def test_command_prints_the_path(small_folder):
    answer = CliRunner().invoke(command, [str(small_folder)])
    assert answer.exit_code == 0, answer.output
    assert answer.output.strip() == str(small_folder / "report.html")


def test_command_refuses_a_missing_folder(tmp_path):
    answer = CliRunner().invoke(command, [str(tmp_path / "nowhere")])
    assert isinstance(answer.exception, DataError)


def test_fixture_carries_a_formula(full_folder):
    assert (pd.read_parquet(full_folder / "stimuli.parquet")["critical_word"] == FORMULA).any()


def test_a_dense_run_says_where_neuron_sparsity_was_measured(page):
    assert "at the thresholds of 0123.safetensors for an FFN sparsity of 0.4, hash fedcba98" in page


def test_a_trace_without_a_calibration_says_that_neuron_sparsity_is_missing(full_folder, tmp_path):
    copied = Path(shutil.copytree(full_folder, tmp_path / "run"))
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["neuron_sparsity"] = {"missing": "no calibration of this model was given"}
    (copied / "manifest.json").write_text(json.dumps(manifest))
    assert "missing: no calibration of this model was given" in report(copied).read_text(encoding="utf-8")


def test_figures_and_tables_of_an_earlier_report_are_gone_and_own_files_stay(tmp_path):
    folder = write_folder(tmp_path)
    report(folder)
    (folder / "tables" / "mine.csv").write_text("a\n1\n")
    fits = json.loads((folder / "fits.json").read_text())
    (folder / "fits.json").write_text(json.dumps([{**fits[0], "name": "another"}]))
    report(folder)
    names = {path.name for path in (folder / "tables").iterdir()}
    assert "coefficients_n400_surprisal_sparsity.csv" not in names
    assert {"coefficients_another.csv", "mine.csv"} <= names
    assert (folder / "trials.csv").is_file()
    assert not list((folder / "figures").glob("*n400_surprisal_sparsity*"))
