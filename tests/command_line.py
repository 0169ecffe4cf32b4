"""Call the command line as a user would, in this process or in one of its own."""

import os
import subprocess
import sys
from typing import NamedTuple

import pytest


class Done(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The last line on stderr: the one a user reads."""
        return self.err.strip().splitlines()[-1] if self.err.strip() else ""


def clada(capsys: pytest.CaptureFixture[str], *arguments: object) -> Done:
    """Run a command in this process."""
    from clada_neuro.cli import main

    capsys.readouterr()
    before, sys.argv = sys.argv, ["clada-neuro", *map(str, arguments)]
    try:
        with pytest.raises(SystemExit) as stopped:
            main.main()
    finally:
        sys.argv = before
    found = capsys.readouterr()
    return Done(int(stopped.value.code or 0), found.out, found.err)


def start(*arguments: object, prepared: str = "") -> subprocess.Popen[str]:
    """Start a command in a process of its own, in which code may be run before."""
    # What a script starts in the background ignores interrupts, and so do these tests and this process then.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heard}\n{prepared}\nfrom clada_neuro.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),
    )  # fmt: skip
