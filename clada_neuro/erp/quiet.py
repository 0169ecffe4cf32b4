"""Keep MNE's progress messages, one for every small step, out of the output; warnings of ours are notes."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import mne

P = ParamSpec("P")
R = TypeVar("R")


def quiet(function: Callable[P, R]) -> Callable[P, R]:
    """Run a function with MNE reporting errors only."""

    @wraps(function)
    def silenced(*args: P.args, **kwargs: P.kwargs) -> R:
        with mne.use_log_level("error"):
            return function(*args, **kwargs)

    return silenced
