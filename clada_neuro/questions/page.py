"""What an analysis leaves behind: its small tables, a figure, and a page that a reader understands without the code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clada_neuro.artifacts import output_folder, versions, write_atomic, write_json, write_text
from clada_neuro.reporting.figures import Figure


@dataclass(frozen=True)
class Results:
    """One analysis, finished.

    `shown` are the tables on the page by heading; `tables` all tables by file name. `rows` says how many rows and
    distinct stimuli there are, `control` what the effect is compared with, `departures` in what the run differs from an
    analysis that was specified in advance (None where there is none).
    """

    name: str
    title: str
    question: str
    model: Mapping[str, Any]
    rows: str
    shown: Mapping[str, pd.DataFrame]
    tables: Mapping[str, pd.DataFrame]
    figure: Figure
    r2: str
    control: str
    shows: str
    limits: str
    settings: Mapping[str, Any]
    departures: Sequence[str] | None = None

    def write(self, folder: str | Path) -> Path:
        """Write ``<name>.md``, the figure, every table (CSV) and ``manifest.json``; return the page's path."""
        home = output_folder(folder)
        for name, table in self.tables.items():
            text = table.to_csv(index=False, float_format="%.6g")
            write_text(home / f"{name}.csv", text)
        write_atomic(home / f"{self.figure.name}.png", lambda part: part.write_bytes(self.figure.png))
        manifest = {
            "analysis": self.name,
            "settings": self.settings,
            "model": self.model,
            "versions": versions(),
        }
        write_json(home / "manifest.json", manifest)
        return write_text(home / f"{self.name}.md", self.page())

    def page(self) -> str:
        """Return the page in Markdown."""
        tables = "\n\n".join(f"**{heading}**\n\n{markdown(table)}" for heading, table in self.shown.items())
        parts = {
            "Question": self.question,
            "Model": f"{self.model['model']}, {self.model['dtype']}, start token `{self.model['start_token']}`, "
            "every neuron computed.",
            "Rows": self.rows,
            "R²": self.r2,
            "Control": self.control,
            "What it shows": self.shows,
            "What it does not show": self.limits,
        }
        if self.departures is not None:
            parts["Departures from the specified analysis"] = "; ".join(self.departures or ["none"]) + "."
        lines = [f"**{heading}.** {text}" for heading, text in parts.items()]
        figure = f"![{self.figure.alt}]({self.figure.name}.png)\n\n{self.figure.caption}"
        return "\n\n".join([f"# {self.title}", *lines[:3], tables, figure, *lines[3:]]) + "\n"


def markdown(table: pd.DataFrame) -> str:
    """Return a table in Markdown, numbers with a true minus sign."""
    rows = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    lines = [list(map(_cell, table.columns)), ["---"] * table.shape[1], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.4g}".replace("-", "−")
    return " ".join(str(value).split()).replace("|", "\\|")
