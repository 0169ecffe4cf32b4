"""The stage that calibrates a model: one file, with its finished pieces in a folder beside it until it is whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clada_neuro.calibration.search import calibrate
from clada_neuro.models.loading import LanguageModel
from clada_neuro.models.places import Places
from clada_neuro.policies.artifact import Calibration
from clada_neuro.runtime.policy import FFN_ONLY
from clada_neuro.stage import Stage


@dataclass(frozen=True)
class CalibrateStage(Stage[Calibration]):
    """Calibrate a model on documents and write ``file``; the other fields are those of `search.calibrate`."""

    name = "calibrate"
    files = ("*.safetensors",)
    parts = ("*.safetensors.parts/*.safetensors",)

    model: LanguageModel
    documents: Sequence[str]
    file: str
    bound: float
    confidence: float
    min_sparsity: float
    tokens: int
    allocation: str
    seed: int
    places: Places
    scope: str = FFN_ONLY

    def held(self, folder: Path) -> Path:
        """Return the file: several models may be calibrated into a folder at once."""
        return folder / self.file

    def make(self, folder: Path) -> Calibration:
        """Do the pieces that are not there yet, and write the file."""
        return calibrate(
            self.model, self.documents, folder / self.file, bound=self.bound, confidence=self.confidence,
            min_sparsity=self.min_sparsity, tokens=self.tokens, allocation=self.allocation, seed=self.seed,
            places=self.places, scope=self.scope,
        )  # fmt: skip
