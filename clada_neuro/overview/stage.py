"""`overview.json` and the means of single stimuli: everything that a report shows of the data, beside the regressions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from clada_neuro.artifacts import read_table, write_table
from clada_neuro.measures.activity import ACTIVITY
from clada_neuro.measures.measure import UNDER_POLICY
from clada_neuro.measures.tokens import named
from clada_neuro.overview import counts, distributions, raw
from clada_neuro.overview.policy import under_policy
from clada_neuro.records.fits import FitRecord
from clada_neuro.records.overview import OverviewRecord
from clada_neuro.stage import Stage
from clada_neuro.stats.conditions import at_critical_words, of_responses

# Long tables are read only as far as they are looked at.
_TABLES = {
    "stimuli": None,
    "words": None,
    "trials": None,
    "tokens": ["stimulus_id", *named(*UNDER_POLICY)],
    "layers": ["layer", *(measure.name for measure in ACTIVITY if measure.main)],
}


@dataclass(frozen=True)
class OverviewStage(Stage[None]):
    """Look at the tables in a folder and at what was fitted to them; it takes seconds and is made anew each time."""

    name = "overview"
    files = ("overview.json", "stimulus_means.parquet")

    def make(self, folder: Path) -> None:
        """Write what the tables show; nothing where there are none, as above the folders of several models."""
        tables = {
            name: read_table(path, columns)
            for name, columns in _TABLES.items()
            if (path := folder / f"{name}.parquet").is_file()
        }
        fits = FitRecord.read_all(path) if (path := folder / "fits.json").is_file() else []
        if not tables:
            self.clear(folder)
            return
        OverviewRecord.write(folder / "overview.json", overview(tables, fits))
        means = raw.stimulus_means(fits, tables.get("trials", pd.DataFrame()))
        write_table(means, folder / "stimulus_means.parquet")


def overview(tables: Mapping[str, pd.DataFrame], fits: Sequence[FitRecord]) -> dict[str, Any]:
    """Return an `OverviewRecord` of tables, by name; each may be absent."""
    stimuli, words, trials, tokens, layers = (tables.get(name, pd.DataFrame()) for name in _TABLES)
    responses = raw.responses(fits, trials)
    by_condition = [at_critical_words(words, stimuli), of_responses(trials, responses)]
    means = [entry for found in by_condition for entry in raw.cells(found, ["condition"])]
    there = [(entry["measure"], entry["by"]) for entry in means]
    return {
        "n_texts": counts.texts(stimuli, words),
        "n_trials": len(trials),
        "groups": counts.groups(trials),
        "conditions": counts.conditions(stimuli, trials),
        "means": [
            *means,
            *(entry for entry in raw.by_levels(fits, trials) if (entry["measure"], entry["by"]) not in there),
        ],
        "words": distributions.of_words(distributions.critical_words(words, stimuli)),
        "ranges": distributions.ranges(words),
        "layers": distributions.of_layers(layers),
        "responses": distributions.of_trials(trials, responses),
        "binned": raw.binned(fits, trials),
        "policy": under_policy(tokens),
    }
