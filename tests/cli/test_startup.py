"""What is wrong with the input is said before the heavy libraries are loaded."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "mne", "seaborn", "statsmodels", "numba")
CALL = (
    "import atexit, sys\n"
    f"atexit.register(lambda: print('LOADED', [name for name in {HEAVY} if name in sys.modules], file=sys.stderr))\n"
    "from clada_neuro.cli.main import main\n"
    "sys.argv = ['clada-neuro', *sys.argv[1:]]\n"
    "main()\n"
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--help"], ""),
        (["run", "--help"], ""),
        (["run", "nieuwland"], "did you mean"),
        (["run", "stimuli.csv", "--limt", "3"], "--limt"),
        (["run", "stimuli.csv"], "needs responses"),
        (["run", "stimuli.csv", "--trials", "nothing.csv"], "nothing.csv"),
        (["run", "stimuli.csv", "--eeg", "nothing.vhdr"], "nothing.vhdr"),
        (["run", "stimuli.csv", "--trials", "trials.csv"], "n400_uv"),
        (["trace", "wrong.csv", "--out", "out"], "sentence"),
        (["align", "words.parquet", "trials.csv", "--out", "out"], "words.parquet"),
        (["maps", "words.parquet", "--epochs", "eeg", "--out", "out"], "words.parquet"),
        (["overlap", "words.parquet", "--eeg", "eeg", "--out", "out"], "words.parquet"),
    ],
)
def test_wrong_input_is_told_before_anything_heavy_is_imported(arguments, message, tmp_path):
    (tmp_path / "stimuli.csv").write_text("item,condition,sentence,critical_word\n1,a,The cat sat,cat\n")
    (tmp_path / "wrong.csv").write_text("item,condition,text,critical_word\n1,a,The cat sat,cat\n")
    (tmp_path / "trials.csv").write_text("subject,item,condition,n400\n1,1,a,2.5\n")
    done = subprocess.run(
        [sys.executable, "-c", CALL, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == (0 if "--help" in arguments else 2), done.stderr
    assert message in done.stderr
    assert "LOADED []" in done.stderr
