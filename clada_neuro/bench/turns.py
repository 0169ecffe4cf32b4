"""Engines that are timed take turns: whoever is not asked sleeps, so that its waiting threads take no processor."""

from collections.abc import Iterator
from contextlib import contextmanager

import psutil


class Turns:
    """A process that runs only inside `awake`, and is stopped at all other times."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._process.suspend()

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let the process run for a ``with`` block."""
        try:
            self._process.resume()
            yield
        finally:
            if self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE:
                self._process.suspend()

    def wake(self) -> None:
        """Let the process run from now on, as it must to end."""
        if self._process.is_running():
            self._process.resume()
