"""Analyses that nobody asked for by name: where the data do not allow one, a note says so and the main fits go on."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from clada_neuro.errors import FitError

_Found = TypeVar("_Found")


def attempt(what: str, work: Callable[[], _Found], notes: list[str]) -> _Found | None:
    """Return what ``work`` returns; where it cannot be done, None and a line in ``notes`` with the reason."""
    try:
        return work()
    except (FitError, np.linalg.LinAlgError) as error:
        notes.append(f"{what} left out: {error}")
        return None
