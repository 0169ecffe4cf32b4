"""The locked versions lie within the ranges of the package, so that `make install` installs what anyone may install."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKED = {
    canonicalize_name(line.partition("==")[0]): line.partition("==")[2]
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
}
WANTED = [
    Requirement(text)
    for text in (
        *PROJECT["dependencies"],
        *(
            one
            for extra in ("dev", "app", "bids", "dask", "docs")
            for one in PROJECT["optional-dependencies"][extra]
        ),
    )
    if not text.startswith("clada-neuro")
]


@pytest.mark.parametrize("wanted", WANTED, ids=lambda wanted: wanted.name)
def test_every_dependency_is_locked_within_its_range(wanted):
    assert wanted.specifier.contains(LOCKED[canonicalize_name(wanted.name)])


def test_dependencies_leave_room_for_others():
    """A library pins nothing exactly, and each dependency says from which version on."""
    specifiers = {
        one.name: {part.operator for part in one.specifier}
        for one in map(Requirement, PROJECT["dependencies"])
    }
    assert [name for name, operators in specifiers.items() if "==" in operators] == []
    assert [name for name, operators in specifiers.items() if ">=" not in operators] == []


def test_each_dependency_has_its_reason():
    block = re.search(
        r"^dependencies = \[\n(.*?)^\]",
        (ROOT / "pyproject.toml").read_text(encoding="utf-8"),
        flags=re.DOTALL | re.MULTILINE,
    )[1]
    assert [line for line in block.splitlines() if not re.search(r'",\s*# \w', line)] == []


def test_make_installs_the_locked_versions():
    lines = [
        line for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines() if "install --" in line
    ]
    assert all("--constraint constraints.txt" in line for line in lines)
