"""The wheel holds the package with its data and nothing else, and works from there, without the repository beside it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from clada_neuro.policies.artifact import MAX_BYTES

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    build = pytest.importorskip("hatchling.build")
    place = tmp_path_factory.mktemp("wheel")
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        return place / build.build_wheel(str(place))
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(archive.read(name))
    return place


def files(folder: Path, prefix: str) -> set[str]:
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {
        f"{prefix}/{path.relative_to(folder).as_posix()}" for path in found if not path.name.startswith(".")
    }


def test_it_holds_the_package_its_data_and_its_metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        biggest = max(archive.infolist(), key=lambda one: one.file_size)
    wanted = files(ROOT / "clada_neuro", "clada_neuro") | files(ROOT / "data", "clada_neuro/_data")
    rest = {name for name in names - wanted if ".dist-info/" not in name}
    assert names >= wanted
    assert rest == set()
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in names)
    assert biggest.file_size < MAX_BYTES, biggest.filename  # a calibration
    assert wheel.stat().st_size < 3.5e6


def test_its_metadata_name_the_command_and_what_it_needs(unpacked):
    (folder,) = unpacked.glob("*.dist-info")
    said = (folder / "METADATA").read_text(encoding="utf-8")
    assert "clada-neuro = clada_neuro.cli.main:main" in (folder / "entry_points.txt").read_text(
        encoding="utf-8"
    )
    assert "Requires-Python: >=3.11" in said
    assert "Requires-Dist: torch" in said
    assert "Description-Content-Type: text/markdown" in said


def test_the_command_line_works_from_it_with_the_data_it_carries(unpacked, tmp_path):
    code = "import clada_neuro, sys; from clada_neuro.cli.main import main; print(clada_neuro.__file__); sys.argv[1:] = ['check', 'demo']; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(unpacked)},
    )
    assert done.returncode == 0, done.stderr
    assert str(unpacked) in done.stdout
    assert "texts" in done.stdout
