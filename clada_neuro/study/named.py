"""What the name of stimuli means: the demonstration, a public data set, or the user's own file."""

import os
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro.artifacts import package_data
from clada_neuro.errors import DataError, did_you_mean
from clada_neuro.stimuli import datasets
from clada_neuro.stimuli.formats import read_stimuli
from clada_neuro.stimuli.registry import registry

DEMO = "demo"
_OPTIONS = {"columns": "column", "trial_columns": "trial_column"}  # keywords whose option is called otherwise
_DEMO_FILES = ("n400_demo.csv", "p600_demo.csv")


def is_name(target: str | Path) -> bool:
    """Return whether a target is the demonstration or a data set, not a file."""
    return str(target) == DEMO or str(target) in registry()[1]


def resolve_stimuli(name: str | Path, **reading: Any) -> pd.DataFrame:
    """Read the stimuli of the demonstration, of a data set, or of a file as `clada_neuro.read_stimuli` does.

    `reading` are the keywords of `clada_neuro.read_stimuli`, None where nothing was said.

    Raises
    ------
    DataError
        For a name that is neither a file, a data set nor ``"demo"``, or options of stimulus files given to a name.
    """
    if not is_name(name):
        return read_file(name, **reading)
    refuse_file_options(name, **reading)
    return demonstration() if str(name) == DEMO else datasets.load(str(name))


def demonstration() -> pd.DataFrame:
    """Return the stimuli of the demonstration."""
    parts = [read_stimuli(package_data("stimuli", part)) for part in _DEMO_FILES]
    return pd.concat(parts, ignore_index=True)


def read_file(path: str | Path, **reading: Any) -> pd.DataFrame:
    """Read a stimulus file; arguments as in `resolve_stimuli`."""
    if not os.path.isfile(path) and not os.path.isdir(path):  # False, too, for what cannot be the name of one
        raise DataError(
            f"'{path}' is neither a stimulus file here nor a data set{did_you_mean(str(path), [DEMO, *registry()[1]])}; "
            "list them with: clada-neuro data list"
        )
    return read_stimuli(path, **{option: given for option, given in reading.items() if given is not None})


def refuse_file_options(name: str | Path, **options: object) -> None:
    """Refuse options of files, by keyword, that are given beside a name."""
    given = [
        f"--{_OPTIONS.get(option, option).replace('_', '-')}"
        for option, value in options.items()
        if value not in (None, {})
    ]
    if given:
        raise DataError(
            f"'{name}' is read as it was published: {', '.join(given)} is for stimulus files only"
        )


def language_of(name: str | Path) -> str:
    """Return the language of a data set's texts; English for the demonstration and for files."""
    sets = registry()[1]
    return sets[str(name)].language if str(name) in sets else "en"
