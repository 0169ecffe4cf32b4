"""Progress of long work: a bar on a terminal, in a log a line every ten per cent."""

import sys
from typing import Any

from tqdm import tqdm


class ProgressBar(tqdm):  # type: ignore[type-arg]
    """tqdm's bar, drawn only where lines can be drawn over; elsewhere whole lines, none of them half-drawn."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._over = sys.stderr.isatty()
        self._tenth = 10 * options.get("initial", 0) // (options.get("total") or 1)
        super().__init__(*args, **({} if self._over else {"leave": False}), **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Draw the bar, or print a line when another tenth is done."""
        if self._over:
            return bool(super().display(msg, pos))
        if self.total and 10 * self.n // self.total > self._tenth:
            self._tenth = 10 * self.n // self.total
            self.fp.write(f"{self._line()}\n")
            self.fp.flush()
        return False

    def _line(self) -> str:
        rate = self.format_dict["elapsed"] / max(self.n - self.initial, 1)
        left = rate * (self.total - self.n)
        told = f"{self.format_interval(self.format_dict['elapsed'])} so far"
        if self.n < self.total:
            told += f", about {self.format_interval(left)} left"
        start = f"{self.desc}: " if self.desc else ""
        return (
            f"{start}{self.n / self.total:.0%} ({self._count(self.n)} of {self._count(self.total)}; {told})"
        )

    def _count(self, number: float) -> str:
        return self.format_sizeof(number) if self.unit_scale else f"{number:,}"
