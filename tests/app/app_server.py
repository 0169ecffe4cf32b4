"""The app in a process of its own, on a free port."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import NamedTuple

from command_line import start

INSTALLED = all(map(find_spec, ("voila", "anywidget", "ipywidgets")))


class Server(NamedTuple):
    """A server that runs: its process, and the address of its page in parts."""

    process: subprocess.Popen[str]
    address: str
    port: int
    secret: str


@contextmanager
def serving(*arguments: object) -> Iterator[Server]:
    process = start("app", "--no-browser", "--port", 0, *arguments)
    try:
        line = next((line for line in process.stdout if "http://" in line), None)
        assert line, process.stderr.read()
        found = re.search(r"(http://127\.0\.0\.1:(\d+)/\?token=(\S+))", line)
        yield Server(process, found[1], int(found[2]), found[3])
    finally:
        process.terminate()
        process.wait(timeout=20)
