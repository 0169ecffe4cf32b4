"""`report`: from the tables of an output folder to one self-contained page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import clada_neuro
from clada_neuro.artifacts import output_folder, read_json, write_json, write_text
from clada_neuro.errors import DataError
from clada_neuro.exports import csv_beside, write_csv
from clada_neuro.lineage import Aligned
from clada_neuro.overview.stage import OverviewStage
from clada_neuro.reporting import html, markdown
from clada_neuro.reporting.analyzed import GROUPS, analyzed
from clada_neuro.reporting.blocks import Inline, Page, Typed
from clada_neuro.reporting.prose import language_models, policy_name
from clada_neuro.reporting.registry import sections
from clada_neuro.reporting.results import Results, read_results
from clada_neuro.reporting.scalp import Negative
from clada_neuro.reporting.store import Result, store
from clada_neuro.stage import Stage

_WRITTEN = ".report.json"  # names the figures and tables that the last report wrote


def report(
    folder: str | Path,
    *,
    alignment: Aligned | None = None,
    fits: Sequence[Result] = (),
    synergy: Result | None = None,
    negative: Negative = "down",
) -> Path:
    """Write ``report.html``, the same page as ``report.md``, ``figures/``, ``tables/`` and ``refit.R`` into an output folder, from its tables alone.

    The HTML page is one file without scripts or network access: figures are inlined. Text from stimuli is escaped.
    The page estimates nothing; values come from ``fits.json``, ``synergy.json``, the parquet tables, and ``overview.json``,
    which is made from them first. The same tables give the same bytes.

    Parameters
    ----------
    folder
        Where ``clada-neuro run`` wrote its tables, or `clada_neuro.trace` with ``out``.
    alignment, fits, synergy
        What `clada_neuro.align`, `clada_neuro.fit` and `clada_neuro.synergy` returned; written to the folder first.
    negative
        Where negative voltages are in figures over time.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    DataError
        When the folder is absent, holds no table, cannot be written, or a file in it is damaged.
    """
    store(folder, alignment, fits, synergy)
    if not Path(folder).is_dir():
        raise DataError(f"'{folder}' is not a folder; pass the folder that `clada-neuro run` wrote to")
    OverviewStage().into(folder)
    return ReportStage(negative).into(folder)


@dataclass(frozen=True)
class ReportStage(Stage[Path]):
    """Make the page from what the other stages left; it takes seconds and is made anew each time."""

    name = "report"
    files = ("report.html", "report.md", "refit.R", "figures/*", "tables/*.csv", _WRITTEN)

    negative: Negative = "down"

    def make(self, folder: Path) -> Path:
        """Write page, figures and tables, and take away those of an earlier page that are not on this one."""
        results = replace(read_results(folder), negative=self.negative)
        page = page_of(results)
        _save_parts(results, page)
        write_text(folder / "report.md", markdown.render(page))
        return write_text(folder / "report.html", html.render(page))


def page_of(results: Results) -> Page:
    """Return the page of an output folder."""
    return Page(
        title(results),
        _subtitle(results),
        _simulated(results),
        _glance(results),
        sections(results),
        _footer(),
    )


def title(results: Results) -> str:
    """Return the page's title; simulated data are named in it."""
    manifest = results.manifest
    name = str(manifest.title or manifest.target or results.folder.resolve().name)
    return f"Simulated data: {name}" if results.simulated else name


def _subtitle(results: Results) -> str:
    target, created = results.manifest.target, results.manifest.created
    parts = [f"clada-neuro report of {target or results.folder.resolve().name}"]
    return ", ".join([*parts, *([str(created)[:16].replace("T", " ")] if created else [])])


def _simulated(results: Results) -> str:
    if not results.simulated:
        return ""
    simulation = results.manifest.simulation
    return str(
        (simulation and simulation.description)
        or "The responses in this report were simulated and come from no person."
    )


def _glance(results: Results) -> list[tuple[str, str]]:
    models = language_models(results.manifest)
    start = list(dict.fromkeys(model.start_token or "none" for model in models))
    facts = [
        (
            "Model" if len(models) == 1 else "Models",
            ", ".join(model.name for model in models),
        ),
        ("Start token", ", ".join(start)),
        ("Policy", policy_name(results.manifest)),
    ]
    facts = facts if models else []
    if "trials" not in results.tables:
        return facts
    used = analyzed(results)
    rows = "Trials analyzed" if "subject" in results.tables["trials"] else "Means over subjects"
    facts.append((rows, _each(one.n for one in used)))
    for column, noun in GROUPS:
        if all(column in one.groups for one in used):
            facts.append((f"{noun.capitalize()}s", _each(one.groups[column] for one in used)))
    return facts


def _each(counts: Iterable[int]) -> str:
    """Return one count, or those of regressions on different rows."""
    return " / ".join(f"{count:,}" for count in dict.fromkeys(counts))


def _footer() -> Inline:
    return (
        f"Written by clada-neuro {clada_neuro.__version__} from the tables in this folder; ",
        Typed("clada-neuro report DIR"),
        " rebuilds it. Every figure stands in ",
        Typed("figures/"),
        " as PNG and SVG, every table in ",
        Typed("tables/"),
        " as CSV.",
    )


def _save_parts(results: Results, page: Page) -> None:
    """Write figures and tables one by one, and take away those of an earlier page that are not on this one."""
    written: list[Path] = []
    figures = output_folder(results.folder / "figures")
    for figure in page.figures:
        written += figure.save(figures)
    folder = output_folder(results.folder / "tables")
    for table in page.tables:
        written.append(write_csv(table.frame, folder / f"{table.name}.csv"))
    for name in ("words", "trials"):
        if name in results.tables:
            csv_beside(results.folder / f"{name}.parquet")
    scripts = [f"# {fit.name}\n{fit.lme4_script}" for fit in results.fits if fit.lme4_script]
    if scripts and "trials" in results.tables:
        write_text(results.folder / "refit.R", "\n".join(scripts))
    _remove_others(results.folder, {path.relative_to(results.folder).as_posix() for path in written})


def _remove_others(folder: Path, written: set[str]) -> None:
    """Remove what the last report wrote and this one did not; files that someone else put there stay."""
    index = folder / _WRITTEN
    before = read_json(index) if index.is_file() else []
    for name in set(map(str, before)) - written:
        place, _, file = name.partition("/")
        if place in ("figures", "tables") and file == Path(file).name:
            (folder / name).unlink(missing_ok=True)
    write_json(index, sorted(written))
