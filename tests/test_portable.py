"""What can be tested here of macOS and Windows: names of files are legal, no module of one system is needed."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from clada_neuro.study.record import peak_memory_mb

ROOT = Path(__file__).parent.parent
CODE = [
    *(ROOT / "clada_neuro").rglob("*.py"),
    *(ROOT / "docs").glob("*.py"),
    *(ROOT / "analyses").glob("*.py"),
]
ONLY_HERE = {"resource", "fcntl", "pwd", "grp", "termios", "posix"}  # modules that Windows lacks


def test_modules_of_one_system_are_imported_where_their_absence_is_expected():
    for path in (ROOT / "clada_neuro").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if not re.search(rf"^\s*(import|from) ({'|'.join(ONLY_HERE)})\b", text, flags=re.MULTILINE):
            continue
        module = ast.parse(text)
        tried = {
            id(node) for part in ast.walk(module) if isinstance(part, ast.Try) for node in ast.walk(part)
        }
        for node in ast.walk(module):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not set(names) & ONLY_HERE or id(node) in tried, f"{path}, line {node.lineno}"


def test_memory_is_not_told_where_the_system_does_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak_memory_mb() is None


def test_names_of_files_are_legal_everywhere_and_differ_beyond_their_case():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("no repository here")
    names = done.stdout.splitlines()
    assert [
        name
        for name in names
        if set(name) & set('<>:"\\|?*') or any(part.endswith((".", " ")) for part in name.split("/"))
    ] == []
    assert [name for name, count in Counter(map(str.lower, names)).items() if count > 1] == []
    assert [name for name in names if len(name) > 150] == []
