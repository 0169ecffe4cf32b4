"""What `clada-neuro run TARGET` studies: stimuli, responses, and the analysis decided for them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro.erp.measurement import Measurement
from clada_neuro.responses.unmatched import MAX_LOST
from clada_neuro.stats.specification import Analysis, EpochsSpecification
from clada_neuro.study.recordings import Continuous
from clada_neuro.study.suited import suited

DEFAULT = {"kind": "default", "name": "default"}
# n400_uv and n400_baseline_uv both name the n400.
_AMPLITUDE = re.compile(r"\b(\w+?)(?:_baseline)?_uv\b")
_BASELINE = re.compile(r"\b\w+_baseline_uv\b")


@dataclass(frozen=True)
class Target:
    """Stimuli, responses and the analysis decided for them.

    Responses are `trials`, or are read from `epochs`, or are simulated from the trace when both are missing.
    `analysis` is what is run; `decided`, where it differs, is what was specified in advance. `measured` says how
    amplitudes are taken from epochs; `controls` names terms that may be left out. `decided_by` says whose the analysis
    is: of a ``file``, of ``formula``s, of the ``data set``, or the built-in ``default``. Of the trials, only those `where`
    these conditions are true are used. `index_base` and `max_lost` are for `align`. `continuous` are the recordings that
    `epochs` were cut from; `described` are the columns of the epochs' metadata. `beyond` are stimuli that were not asked for,
    of which there may be epochs.
    """

    name: str
    stimuli: pd.DataFrame
    trials: pd.DataFrame | None
    analysis: Analysis
    exclusions: list[dict[str, Any]] = field(default_factory=list)
    dataset: Mapping[str, Any] | None = None
    epochs: Path | None = None
    measured: EpochsSpecification | None = None
    decided: Analysis | None = None
    controls: tuple[str, ...] = ()
    index_base: int | None = None
    max_lost: float = MAX_LOST
    decided_by: Mapping[str, str] = field(default_factory=lambda: DEFAULT)
    notes: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    described: tuple[str, ...] = ()
    continuous: Continuous | None = None
    beyond: pd.DataFrame | None = None

    def suited_to(self, trials: pd.DataFrame) -> tuple["Target", list[str]]:
        """Leave out of an analysis that knows nothing of the stimuli what these trials cannot carry; say what."""
        if not self.controls:
            return self, []
        analysis, lines = suited(self.analysis, self.controls, trials)
        return replace(self, analysis=analysis, decided=self.specified), lines

    @property
    def specified(self) -> Analysis:
        """The analysis as it was decided in advance, before anything narrowed it."""
        return self.decided or self.analysis

    @property
    def measurement(self) -> Measurement:
        """How amplitudes are taken from `epochs`: every component that a formula names."""
        named = [_AMPLITUDE.findall(model.formula) for model in self.analysis.models]
        names = dict.fromkeys(name for found in named for name in found)
        return Measurement.specified(names, **vars(self.measured or EpochsSpecification()))

    @property
    def baselines(self) -> set[str]:
        """The baselines that a formula names as columns."""
        return {column for model in self.analysis.models for column in _BASELINE.findall(model.formula)}

    @property
    def components(self) -> list[str]:
        """What the analysis explains, by name: ``n400`` for n400_uv."""
        return sorted({model.response.removesuffix("_uv") for model in self.analysis.models})

    @property
    def simulated(self) -> bool:
        """Whether responses come from the simulator."""
        return self.trials is None and self.epochs is None
