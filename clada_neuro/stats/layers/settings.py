"""What is decided before the layers' models are fitted, from a TOML file such as ``data/analyses/depth.toml``."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from clada_neuro.artifacts import package_data
from clada_neuro.errors import FitError, did_you_mean
from clada_neuro.measures.layers import BY_LAYER
from clada_neuro.stats.entries import check_types

SIGNS = ("negative", "positive")


@dataclass(frozen=True)
class LayerSettings:
    """Which measures by layer stand in place of which predictor, and how they are tested.

    Attributes
    ----------
    title : str
        What the analysis is called.
    replaces : str
        The predictor of the run's models in whose place they stand.
    measures : tuple of str
        Columns of ``word_layers.parquet``; all their layers are one family a response.
    confidence : float
        Of the simultaneous intervals.
    replicates : int
        Responses drawn under the null.
    folds : int
        Number of cross-validation folds.
    fold : str
        Column whose levels stay together in a fold.
    fold_by : mapping
        Data set to another such column.
    seed : int
        Of draws and folds.
    directions : mapping
        Response to measure to ``"negative"`` or ``"positive"``, as registered.
    """

    measures: tuple[str, ...]
    title: str = ""
    replaces: str = "surprisal_bits"
    confidence: float = 0.95
    replicates: int = 1000
    folds: int = 10
    fold: str = "item"
    fold_by: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    directions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = [one.name for one in BY_LAYER]
        if not self.measures:
            raise FitError(f"no measure by layer is named; there are {', '.join(known)}")
        for name in self.measures:
            if name not in known:
                raise FitError(
                    f"no measure by layer '{name}'{did_you_mean(name, known)}; there are {', '.join(known)}"
                )
            if self.measures.count(name) > 1:
                raise FitError(f"the measure '{name}' is named more than once")
        for what, value, least in (("replicates", self.replicates, 19), ("folds", self.folds, 2)):
            if value < least:
                raise FitError(f"{what} = {value} given, at least {least} expected")
        if not 0 < self.confidence < 1:
            raise FitError(
                f"confidence = {self.confidence:g} given, a share between 0 and 1 expected, such as 0.95"
            )
        for response, signs in self.directions.items():
            for name, sign in signs.items():
                if sign not in SIGNS or name not in known:
                    raise FitError(
                        f"directions of {response}: {name} = '{sign}' given, a measure by layer and one of {', '.join(SIGNS)} "
                        "expected"
                    )

    def on(self, dataset: str | None) -> "LayerSettings":
        """Return the settings for a data set, None for stimuli and trials that are none."""
        return replace(self, fold=self.fold_by.get(dataset or "", self.fold), fold_by={})


def read_settings(path: str | Path | None = None) -> LayerSettings:
    """Read settings; without a path those that ship.

    Raises
    ------
    FitError
        If the file is missing, is not TOML, or has an unknown or wrong entry.
    """
    path = package_data("analyses", "depth.toml") if path is None else Path(path)
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FitError(f"no settings at '{path}'") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, IsADirectoryError) as error:
        raise FitError(f"settings '{path}' are not valid TOML: {error}") from error
    known = [part.name for part in fields(LayerSettings)]
    for name in document:
        if name not in known:
            raise FitError(f"{path}: unknown entry '{name}'{did_you_mean(name, known)}")
    if "measures" not in document:
        raise FitError(f"{path}: missing entry 'measures', a list of measures by layer")
    check_types(LayerSettings, document, str(path))
    try:
        return LayerSettings(**{**document, "measures": tuple(document["measures"])})
    except FitError as error:
        raise FitError(f"{path}: {error}") from None
