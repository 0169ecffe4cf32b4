"""What the command tells the page, which runs in a process of its own, and the bounds of what the page takes."""

import json
import os
from dataclasses import asdict, dataclass

from clada_neuro.models.origin import EMBEDDED

_VARIABLE = "CLADA_NEURO_APP"
LARGEST_UPLOAD = 5 * 2**20  # bytes; a table of stimuli has a few hundred kilobytes
LARGEST_WORKBOOK = 20 * LARGEST_UPLOAD  # unpacked
MOST_WORDS = 20_000  # a minute or two of a small model on a laptop


@dataclass(frozen=True)
class Settings:
    """Which models the page offers (others cannot be named there), and the folder that goes when the server does."""

    models: tuple[str, ...] = (EMBEDDED,)
    folder: str | None = None

    def hand_on(self) -> None:
        """Put the settings where processes that this one starts find them."""
        os.environ[_VARIABLE] = json.dumps(asdict(self))

    @classmethod
    def handed_on(cls) -> "Settings":
        """Return what the process that started this one handed on, else the defaults."""
        given = json.loads(os.environ.get(_VARIABLE, "{}"))
        return cls(**given | ({"models": tuple(given["models"])} if given else {}))
