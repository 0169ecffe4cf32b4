"""minicons and surprisal as optional peers, in an interpreter of their own, which sleeps while others are timed."""

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

from clada_neuro.bench.turns import Turns
from clada_neuro.errors import ModelError
from clada_neuro.models.loading import LanguageModel

_WORKER = Path(__file__).with_name("scoring_worker.py")
TOOLS = ("minicons", "minicons, bos_token=True", "surprisal")


class ScoringPeers:
    """Other packages' word surprisal on the same weights.

    Parameters
    ----------
    python : str or Path
        Interpreter that can import ``minicons`` and ``surprisal``.
    folder : Path
        A checkpoint, as written by `save_for_peers`.

    Raises
    ------
    ModelError
        If the interpreter cannot be run.
    """

    def __init__(self, python: str | Path, folder: Path) -> None:
        try:
            self._process = subprocess.Popen(
                [str(python), str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        except OSError as error:
            raise ModelError(f"'{python}' cannot be run ({error.strerror}); give an interpreter") from error
        self._turns = Turns(self._process.pid)
        self._folder = str(folder)

    def words(self, tool: str, texts: list[str]) -> dict[str, Any]:
        """Return ``words`` (bits per white-space word per text), ``seconds`` and ``version``, or ``error``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        question = {"tool": tool, "folder": self._folder, "texts": texts}
        with self._turns.awake():
            print(json.dumps(question), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        return json.loads(line) if line else {"error": f"the process of {tool} ended"}

    def close(self) -> None:
        """End the process."""
        self._turns.wake()
        self._process.communicate()


def save_for_peers(model: LanguageModel, folder: Path) -> Path:
    """Write a checkpoint whose nominal beginning-of-sequence token is our start token, so that only handling differs."""
    tokenizer = copy.deepcopy(model.tokenizer)
    tokenizer.bos_token = model.start_token
    tokenizer.save_pretrained(folder)
    model.model.save_pretrained(folder)
    return folder
