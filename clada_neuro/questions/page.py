"""What an analysis leaves behind: a page, in HTML and in Markdown, that a reader understands without the code, and its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import clada_neuro
from clada_neuro.artifacts import output_folder, versions, write_atomic, write_text
from clada_neuro.records.question import QuestionRecord
from clada_neuro.reporting import html, markdown
from clada_neuro.reporting.blocks import Block, Facts, Page, Paragraph, Points, Section, Typed
from clada_neuro.reporting.figures import Figure
from clada_neuro.reporting.text import cell


@dataclass(frozen=True)
class Answer:
    """One question of the paper, answered.

    Attributes
    ----------
    model : mapping
        As `LanguageModel.describe` gives it.
    shows : sequence of Block
        What the numbers say, and what they leave open.
    results : sequence of Section
        The numbers themselves, with their figures.
    control : sequence of Block
        What the effect is compared with.
    limits : sequence of str
        What does not follow from the numbers, a paragraph each.
    rows : sequence of Block
        How many rows and distinct stimuli there are, and which were left out.
    tables : mapping
        Every table in full, by file name.
    departures : sequence of str or None
        In what the run differs from its pre-specified analysis; None where there is none.
    """

    name: str
    title: str
    question: str
    model: Mapping[str, Any]
    shows: Sequence[Block]
    results: Sequence[Section]
    control: Sequence[Block]
    limits: Sequence[str]
    rows: Sequence[Block]
    tables: Mapping[str, pd.DataFrame]
    settings: Mapping[str, Any]
    departures: Sequence[str] | None = None

    def write(self, folder: str | Path) -> Path:
        """Write ``<name>.html``, the same page as ``<name>.md``, figures (PNG), tables (CSV) and ``manifest.json``; return the HTML page.

        Figures of an earlier page of this name that are not on this one are taken away.
        """
        home, page = output_folder(folder), self.page()
        for name, table in self.tables.items():
            write_text(home / f"{name}.csv", table.to_csv(index=False, float_format="%.6g"))
        for figure in page.figures:
            _write_png(figure, home)
        for path in home.glob(f"{self.name}_*.png"):
            if path.stem not in {figure.name for figure in page.figures}:
                path.unlink()
        manifest = {
            "analysis": self.name,
            "settings": self.settings,
            "model": self.model,
            "versions": versions(),
        }
        QuestionRecord.write(home / "manifest.json", manifest)
        write_text(home / f"{self.name}.md", markdown.render(page, figures="."))
        return write_text(home / f"{self.name}.html", html.render(page))

    def page(self) -> Page:
        """Return the page, for either renderer."""
        command = f"clada-neuro synergy {self.name}"
        footer = (
            f"Written by clada-neuro {clada_neuro.__version__}; ",
            Typed(command),
            " makes this page. Every table stands beside it in full, as CSV.",
        )
        glance = [
            ("Model", str(self.model["model"])),
            ("Precision", str(self.model["dtype"])),
            ("Start token", str(self.model["start_token"])),
            ("Neurons", "all computed"),
        ]
        return Page(self.title, command, "", glance, self._sections(), footer)

    def _sections(self) -> list[Section]:
        sections = [
            Section("question", "Question", [Paragraph(self.question)]),
            Section("answer", "What it shows", list(self.shows)),
            *self.results,
            Section("control", "What it is compared with", list(self.control)),
            Section("limits", "What it does not show", [Points(list(self.limits))]),
            Section("rows", "Rows", list(self.rows)),
        ]
        if self.departures is not None:
            lines = [Points(list(self.departures))] if self.departures else [Paragraph("None.")]
            sections.append(Section("departures", "Departures from the specified analysis", [*lines]))
        chosen = [(name, cell(value)) for name, value in self.settings.items() if value not in (None, (), [])]
        return [*sections, Section("settings", "Settings", [Facts(chosen)])] if chosen else sections


def _write_png(figure: Figure, home: Path) -> None:
    write_atomic(home / f"{figure.name}.png", lambda part: part.write_bytes(figure.png))
