"""Notes on several recordings or people: what is the same of many is said once."""

from collections.abc import Iterable

import pandas as pd

_SHOWN = 3
_VALUES = 5


def together(notes: Iterable[tuple[str, str]], what: str, of: int) -> list[str]:
    """Return a line for each text, with whom it is about.

    Parameters
    ----------
    notes
        Who, and what is said of them.
    what
        What they are, such as ``subject``.
    of
        How many there are: of all of them, their number stands for their names.
    """
    by_text: dict[str, dict[str, None]] = {}
    for who, text in notes:
        by_text.setdefault(text, {})[who] = None
    return [f"{_named(list(whom), what, of)}: {text}" for text, whom in by_text.items()]


def _named(whom: list[str], what: str, of: int) -> str:
    if len(whom) == 1:
        return f"{what} '{whom[0]}'"
    if len(whom) == of:
        return f"all {of} {what}s"
    more = f" and {len(whom) - _SHOWN} more" if len(whom) > _SHOWN else ""
    return f"{what}s {', '.join(whom[:_SHOWN])}{more}"


def most_frequent(values: pd.Series) -> str:
    """Return the most frequent values with their counts."""
    counts = values.value_counts()
    parts = [f"{value} ({n})" if n > 1 else str(value) for value, n in counts.head(_VALUES).items()]
    return ", ".join([*parts, *([f"and {len(counts) - _VALUES} more"] if len(counts) > _VALUES else [])])
