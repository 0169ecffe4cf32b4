"""Which layer speaks to a response: a page for each data set from a run that `clada-neuro depth` has analysed.

    clada-neuro run nieuwland2018 --layers all --out DIR
    clada-neuro depth DIR
    clada-neuro predictability DIR          # these two for sections of their own
    clada-neuro encode DIR
    python analyses/24_depth_pages.py nieuwland2018=DIR [NAME=DIR ...]

Writes results/depth_pages/: for every NAME a page (NAME.md), its figures (NAME_*.png) and its tables (NAME_profile.csv,
NAME_choice.csv, NAME_predictability.csv, NAME_encoding.csv). Nothing is fitted here; a page is made of the report's blocks.
"""

import argparse
import subprocess
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pandas as pd
from _shared.depth_said import compared, not_shown, registered, rows
from _shared.results import results_folder

from clada_neuro.artifacts import package_data, write_atomic, write_text
from clada_neuro.errors import DataError
from clada_neuro.exports import write_csv
from clada_neuro.records.depth import DepthRecord, ProfileFacts
from clada_neuro.reporting import markdown
from clada_neuro.reporting.blocks import Block, Headed, Page, Paragraph, Points, Section
from clada_neuro.reporting.figures import Figure
from clada_neuro.reporting.labels import words
from clada_neuro.reporting.layers import chosen, found
from clada_neuro.reporting.page_tables import slug
from clada_neuro.reporting.results import Results, read_results
from clada_neuro.reporting.sections import encoding, predictability
from clada_neuro.reporting.sections.depth import shown
from clada_neuro.study.encode import TABLE as ENCODING
from clada_neuro.study.predictability import TABLE as PREDICTABILITY

SETTINGS = package_data("analyses", "depth.toml")


def read(folder: Path) -> tuple[Results, DepthRecord]:
    """Return an output folder, and what was found of layers in it."""
    results = read_results(folder)
    if results.depth is None:
        raise DataError(f"'{folder}' has no depth.json; give a folder that `clada-neuro depth` has analysed")
    return results, results.depth


def page(name: str, results: Results, record: DepthRecord) -> Page:
    """Return the page of a data set."""
    replaced = words(record.entries[0].replaces)
    measured = ", ".join(dict.fromkeys(entry.response for entry in record.entries))
    question = (
        f"Does a measure of one layer of the language model, in place of {replaced}, speak to {measured}?"
    )
    sections = [
        Section("question", "Question", [Paragraph(question)]),
        Section("answer", "What it shows", [Points([_answer(entry, record) for entry in record.entries])]),
        Section("rows", "Rows and stimuli", [*rows(results, record)]),
        *(
            Section(slug(entry.name), entry.name, _named(name, shown(entry), len(record.entries) > 1))
            for entry in record.entries
        ),
        *_beside(name, results),
        Section("controls", "What it is compared with", [Points(compared(results, record))]),
        Section("limits", "What it does not show", [Points(not_shown(results, record))]),
        Section(
            "advance",
            "Decided in advance",
            [Paragraph(registered(results, record, SETTINGS, committed(SETTINGS)))],
        ),
    ]
    model = results.manifest.model
    glance = [("Language model", model.name if model else "unnamed"), ("Layers", _layers(record))]
    footer = f"Written by analyses/24_depth_pages.py. In full: {name}_profile.csv (every layer), {name}_choice.csv."
    return Page(f"{name}: by layer", str(results.manifest.title or name), "", glance, sections, footer)


def _beside(name: str, results: Results) -> list[Section]:
    """Return what `predictability` and `encode` found of the run, where they were asked."""
    return [
        Section(
            one.id,
            one.title,
            [_renamed(name, block) for block in one.blocks(results) if isinstance(block, Headed)],
        )
        for one in (predictability.SECTION, encoding.SECTION)
        if one.shown(results)
    ]


def _renamed(name: str, block: Block) -> Block:
    """Return a block whose figures are files of this page."""
    if isinstance(block, Headed):
        return replace(block, blocks=[_renamed(name, one) for one in block.blocks])
    return replace(block, name=f"{name}_{block.name}") if isinstance(block, Figure) else block


def committed(path: Path) -> tuple[str, datetime] | None:
    """Return the commit that changed a file last and when, None where git does not know or the file has changed since."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words, "--", path.name], cwd=path.resolve().parent, capture_output=True, text=True, check=True
        )  # fmt: skip
        return done.stdout.strip()

    try:
        last, changed = git("log", "-1", "--format=%h %cI"), git("status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return None
    if changed or not last:
        return None
    commit, when = last.split()
    return commit, datetime.fromisoformat(when)


def write(name: str, folder: Path, out: Path) -> None:
    """Write the page of a run with its figures and tables."""
    results, record = read(folder)
    made = page(name, results, record)
    for figure in made.figures:
        _write_png(figure, out)
    for part in ("profile", "choice"):
        table = [
            {"model": entry.name, "response": entry.response, **row.row()}
            for entry in record.entries
            for row in getattr(entry, part)
        ]
        write_csv(pd.DataFrame(table), out / f"{name}_{part}.csv")
    for beside in (PREDICTABILITY, ENCODING):
        if (there := folder / beside).is_file():
            write_text(out / f"{name}_{there.name}", there.read_text(encoding="utf-8"))
    write_text(out / f"{name}.md", markdown.render(made, figures="."))


def _answer(entry: ProfileFacts, record: DepthRecord) -> str:
    named = f"{entry.name}: " if len(record.entries) > 1 else ""
    return f"{named}{found(entry)} {chosen(entry)}"


def _named(name: str, blocks: list[Block], several: bool) -> list[Block]:
    """Return blocks whose figures are files of this page."""
    return [
        replace(block, name=f"{name}_{block.name.removeprefix('depth_')}" if several else name)
        if isinstance(block, Figure)
        else block
        for block in blocks
    ]


def _layers(record: DepthRecord) -> str:
    layers = sorted({row.layer for entry in record.entries for row in entry.profile if row.layer is not None})
    return f"{len(layers)}, from {layers[0]} to {layers[-1]}"


def _write_png(figure: Figure, out: Path) -> None:
    write_atomic(out / f"{figure.name}.png", lambda part: part.write_bytes(figure.png))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="NAME=DIR")
    parser.add_argument("--out", type=Path, default=results_folder(__file__))
    options = parser.parse_args()
    for given in options.runs:
        name, _, folder = given.partition("=")
        write(name, Path(folder), options.out)


if __name__ == "__main__":
    main()
