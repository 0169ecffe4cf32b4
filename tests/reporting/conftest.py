"""One folder and one page for all tests of the report."""

from pathlib import Path

import pytest
from run_folder import write_folder

from clada_neuro.reporting.build import report


@pytest.fixture(scope="session")
def full_folder(tmp_path_factory) -> Path:
    """Everything a run writes, with hostile text in one stimulus."""
    return write_folder(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def page_file(full_folder) -> Path:
    """The page made from everything."""
    return report(full_folder)
