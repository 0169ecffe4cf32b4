"""Stimuli and responses of a target, with the analysis that comes with them, before one is decided."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from clada_neuro.errors import DataError
from clada_neuro.responses.trials import read_trials
from clada_neuro.stats.analysis_file import shipped_analysis
from clada_neuro.stats.specification import Analysis, EpochsSpecification
from clada_neuro.stimuli import datasets
from clada_neuro.study.named import DEMO, demonstration
from clada_neuro.study.target import Target


def of_name(name: str) -> Target:
    """Return the demonstration, whose responses are simulated, or a data set.

    Raises
    ------
    DataError
        For a data set that holds no responses.
    """
    if name == DEMO:
        return Target(DEMO, demonstration(), None, shipped_analysis(DEMO))
    about, stimuli, trials = datasets.load_study(name)
    facts = {key: value for key, value in asdict(about).items() if key not in ("files", "source", "loader")}
    facts |= {"licence": about.source.licence, "citation": facts["citation"] or about.source.citation}
    analysis, exclusions = shipped_analysis(name), trials.exclusions.to_dict("records")
    return Target(name, stimuli, trials.frame, analysis, exclusions, facts)


def with_trials(
    stimuli: pd.DataFrame,
    path: Path,
    trials: str | Path,
    *,
    columns: Mapping[str, str] | None,
    numbers: Collection[str],
    encoding: str | None,
    sheet: str | None,
) -> Target:
    """Return the stimuli of a file with a table of trials; the options are those of `read_trials`."""
    given = read_trials(trials, columns=columns, numbers=numbers, encoding=encoding, sheet=sheet or 0)
    return Target(path.stem, stimuli, given, shipped_analysis("default"))


def with_epochs(
    stimuli: pd.DataFrame,
    path: Path,
    epochs: str | Path | None,
    *,
    trials: str | Path | None,
    columns: Mapping[str, str] | None,
    measured: EpochsSpecification | None,
) -> Target:
    """Return the stimuli of a file with MNE epochs, to be measured as `measured` says.

    Raises
    ------
    DataError
        For no epochs, or trials and what is said of their columns beside epochs.
    """
    if epochs is None or trials is not None:
        raise DataError(
            f"'{path}' needs responses: add either --trials FILE (a row per subject and stimulus) or "
            "--epochs FILE (MNE epochs), or use clada-neuro trace for the stimuli alone"
        )
    covariate = measured is None or measured.baseline in (None, "covariate")
    chosen = _epochs_analysis(Path(epochs)) if covariate else shipped_analysis("default")
    if columns:
        raise DataError("--trial-column is for --trials; rename the columns of the epochs' metadata")
    return Target(path.stem, stimuli, None, chosen, epochs=Path(epochs))


def _epochs_analysis(epochs: Path) -> Analysis:
    """Return the analysis with the baseline as covariate, or without where it was subtracted before."""
    from clada_neuro.erp.sources import baseline_subtracted

    return shipped_analysis("default" if baseline_subtracted(epochs) else "epochs")
