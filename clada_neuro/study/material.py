"""Stimuli and responses of a target, with the analysis that comes with them, before one is decided."""

from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from clada_neuro.errors import DataError
from clada_neuro.responses.trials import read_trials
from clada_neuro.stats.analysis_file import shipped_analysis
from clada_neuro.stats.specification import Analysis
from clada_neuro.stimuli import datasets
from clada_neuro.study.named import DEMO, demonstration
from clada_neuro.study.response_files import ResponseFiles
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


def with_responses(
    stimuli: pd.DataFrame, path: Path, files: ResponseFiles, numbers: Collection[str]
) -> Target:
    """Return the stimuli of a file with a table of trials, or with MNE epochs that are to be measured.

    Parameters
    ----------
    numbers
        Columns of trials that must be numbers.

    Raises
    ------
    DataError
        For neither or both, and what is said of the columns of trials beside epochs.
    """
    if files.trials is not None and files.epochs is None:
        given = read_trials(
            files.trials, columns=files.trial_columns, numbers=numbers,
            encoding=files.trial_encoding, sheet=files.trial_sheet or 0,
        )  # fmt: skip
        return Target(path.stem, stimuli, given, shipped_analysis("default"))
    if files.epochs is None or files.trials is not None:
        raise DataError(
            f"'{path}' needs responses: add either --trials FILE (a row per subject and stimulus) or "
            "--epochs FILE (MNE epochs), or use clada-neuro trace for the stimuli alone"
        )
    covariate = files.measured is None or files.measured.baseline in (None, "covariate")
    epochs = Path(files.epochs)
    chosen = _epochs_analysis(epochs) if covariate else shipped_analysis("default")
    if files.trial_columns:
        raise DataError("--trial-column is for --trials; rename the columns of the epochs' metadata")
    return Target(path.stem, stimuli, None, chosen, epochs=epochs)


def _epochs_analysis(epochs: Path) -> Analysis:
    """Return the analysis with the baseline as covariate, or without where it was subtracted before."""
    from clada_neuro.erp.sources import baseline_subtracted

    return shipped_analysis("default" if baseline_subtracted(epochs) else "epochs")
