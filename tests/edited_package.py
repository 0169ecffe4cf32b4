"""The package with a few of its files edited, as a newcomer would edit them, for processes of their own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def edited(root: Path, edits: Mapping[str, tuple[str, str]]) -> Path:
    """Make `root` the repository, of links but for the edited files: in each, a text is put in before a place in it.

    Parameters
    ----------
    root : Path
        A folder that is not there yet.
    edits : mapping of str to (str, str)
        Path in the repository to the text before which something is added (found once), and what is added.
    """
    _mirror(REPOSITORY, root, {Path(name).parts: edit for name, edit in edits.items()})
    return root


def run_in(root: Path, *arguments: object) -> str:
    """Run python in such a repository and return what it printed; nothing is left beside the linked files."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _mirror(source: Path, target: Path, edits: Mapping[tuple[str, ...], tuple[str, str]]) -> None:
    target.mkdir()
    for entry in source.iterdir():
        inside = {path[1:]: edit for path, edit in edits.items() if path[0] == entry.name}
        if not inside:
            (target / entry.name).symlink_to(entry)
        elif entry.is_dir():
            _mirror(entry, target / entry.name, inside)
        else:
            (before, added) = inside[()]
            text = entry.read_text(encoding="utf-8")
            assert text.count(before) == 1, f"{entry} holds {before!r} {text.count(before)} times"
            (target / entry.name).write_text(text.replace(before, added + before), encoding="utf-8")
