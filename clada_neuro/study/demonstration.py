"""The demonstration with continuous EEG: simulated readers of our own sentences, as a stimulus file and a BIDS folder.

What is planted follows the surprisal that the language model gives each word, so the trace comes first. From there on it is a
study like any other: a stimulus file, a BIDS folder, an analysis.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clada_neuro.artifacts import output_folder, package_data
from clada_neuro.exports import write_csv
from clada_neuro.scale.setting import Setting
from clada_neuro.stimuli.formats import read_stimuli

SIMULATED = "simulated"  # in place of a path to recordings
N_ITEMS = 40


@dataclass(frozen=True)
class Demonstration:
    """Paths as a user would give them: ``stimuli``, ``bids`` and ``analysis``."""

    stimuli: Path
    bids: Path
    analysis: Path


def demonstration(
    folder: Path, setting: Setting, seed: int, progress: Callable[[str], None], scheduler: str | None = None
) -> Demonstration:
    """Write the stimuli of the demonstration and simulated recordings of their readers into ``folder``.

    Raises
    ------
    DataError
        Without mne-bids, which an extra installs.
    """
    from clada_neuro.erp.bids import mne_bids  # loads MNE

    mne_bids()  # what is missing is said before the trace
    place = output_folder(folder)
    table = read_stimuli(package_data("stimuli", "n400_demo.csv"))
    items = table["item"].drop_duplicates().head(N_ITEMS)
    columns = ["item", "condition", "sentence", "critical_word", "critical_index"]
    stimuli = write_csv(table.loc[table["item"].isin(items), columns], place / "demo.csv", encoding="utf-8")
    from clada_neuro.erp.simulate_bids import simulate_bids
    from clada_neuro.scale.spread import trace_by

    progress(f"trace of {len(items)} items, for the readers' responses to follow")
    words = trace_by(setting, read_stimuli(stimuli), place, scheduler).words
    progress("simulated readers as a BIDS folder")
    bids = simulate_bids(words, place / "bids", seed=seed)
    return Demonstration(stimuli, bids, package_data("analyses", "reading.toml"))
