"""The shipped analysis of the two public Evoked files: what it writes equals what stands in analyses/results."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from analysis_scripts import ANALYSES

HERE = [
    Path(folder)
    for folder in os.environ.get("CLADA_NEURO_DATA", "").split(os.pathsep)
    if (Path(folder) / "swop_sv").is_dir()
]


@pytest.mark.skipif(not HERE, reason="CLADA_NEURO_DATA names no folder with swop_sv")
def test_the_script_writes_the_committed_table_and_a_figure(tmp_path):
    script = ANALYSES / "08_swop_p600.py"
    done = subprocess.run([sys.executable, str(script), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (
        "p600, V3 − V2: 1.24 µV, 95 % CI [0.54, 1.94], t(19) = 3.70, p = 0.0015, 20 subjects" in done.stdout
    )
    shipped = pd.read_csv(script.parent / "results" / "swop_p600" / "differences.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "differences.csv"), shipped, rtol=1e-6)
    assert (tmp_path / "p600.png").stat().st_size > 10_000
