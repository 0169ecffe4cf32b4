"""The stages that estimate what an analysis specifies: its models and its interaction."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro.parts import Jobs
from clada_neuro.stage import Stage
from clada_neuro.stats.specification import ModelSpecification, SynergySpecification
from clada_neuro.stats.stage import Progress, estimate_synergy, fit_models


@dataclass(frozen=True)
class FitStage(Stage[list[dict[str, Any]]]):
    """Fit what an analysis specifies; a model that stands there for the same trials is kept. See `stage.fit_models`.

    Attributes
    ----------
    trials : pandas.DataFrame
    of : str
        The id of the trials.
    """

    name = "fit"
    files = ("fits.json",)
    parts = ("bootstrap_r2_*.parquet", "influence/*/*.parquet")

    trials: pd.DataFrame
    of: str
    models: tuple[ModelSpecification, ...]
    influence: bool = False
    optimizers: bool = False
    replicates: int = 0
    seed: int = 0
    jobs: Jobs = 1
    progress: Progress = lambda line: None

    def make(self, folder: Path) -> list[dict[str, Any]]:
        """Fit the models that are not there yet."""
        return fit_models(
            self.trials, self.models, folder / "fits.json", self.of, self.progress,
            influence=self.influence, optimizers=self.optimizers, replicates=self.replicates, seed=self.seed, jobs=self.jobs,
        )  # fmt: skip


@dataclass(frozen=True)
class SynergyStage(Stage[dict[str, Any]]):
    """Estimate the interaction of two predictors; see `stage.estimate_synergy`."""

    name = "synergy"
    files = ("synergy.json",)
    parts = tuple(f"bootstrap_{kind}.parquet" for kind in ("parametric", "null", "cluster"))

    trials: pd.DataFrame
    of: str
    specification: SynergySpecification
    replicates: int
    cluster_replicates: int = 0
    seed: int = 0
    jobs: Jobs = 1

    def make(self, folder: Path) -> dict[str, Any]:
        """Estimate it, or read what stands there."""
        return estimate_synergy(
            self.trials, self.specification, folder / "synergy.json", self.of, self.seed, jobs=self.jobs,
            cluster_replicates=self.cluster_replicates, replicates=self.replicates,
        )  # fmt: skip
