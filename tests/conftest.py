"""Being here puts this folder on the path, so that tests of any package can import its shared helpers."""

import os
import shutil

import pytest

# Triton reads this when it is first imported, which torch does: without a GPU its kernels are interpreted.
if shutil.which("nvidia-smi") is None:
    os.environ.setdefault("TRITON_INTERPRET", "1")

SLOW_LIMIT = 3600  # seconds for one slow test; pyproject.toml has the limit of the others


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(SLOW_LIMIT))


@pytest.fixture(autouse=True)
def own_threads():
    """Commands set the number of PyTorch's threads for their process, which here is that of later tests, too."""
    import torch

    before = torch.get_num_threads()
    yield
    if torch.get_num_threads() != before:
        torch.set_num_threads(before)
