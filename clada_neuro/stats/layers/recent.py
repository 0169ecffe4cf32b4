"""Values that differences in one parameter after the other ask for again and again."""

from collections.abc import Callable, Hashable
from typing import Any

KEPT = 24


class Recent:
    """The values computed last, by key."""

    def __init__(self) -> None:
        """Begin without any."""
        self._found: dict[Hashable, Any] = {}

    def once(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """Return the value of a key, computed where it is not among the last."""
        found = self._found.pop(key) if key in self._found else compute()
        self._found[key] = found
        if len(self._found) > KEPT:
            del self._found[next(iter(self._found))]
        return found
