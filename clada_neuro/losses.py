"""Rows lost in one step of joining or leaving out, as every table and report counts them."""

from typing import Any


def step(name: str, before: int, removed: int, reason: str) -> dict[str, Any]:
    """Return one step: its name, `rows_before`, `rows_removed`, `rows_after` and `reason`."""
    return {
        "step": name,
        "rows_before": int(before),
        "rows_removed": int(removed),
        "rows_after": int(before - removed),
        "reason": reason,
    }
