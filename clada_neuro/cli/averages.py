"""``clada-neuro averages``: subject averages of two conditions or more, compared in a component's window."""

from pathlib import Path
from typing import Literal

import click

from clada_neuro.cli.options import component_options, negative_option
from clada_neuro.errors import DataError


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="FOLDER | NAME=FILE NAME=FILE …")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for tables and figures.")
@click.option(
    "--component",
    "components",
    multiple=True,
    metavar="NAME",
    help="What is measured; one of your own has a --window and a --roi; may be repeated [default: n400 and p600].",
)
@component_options
@click.option(
    "--in-order",
    is_flag=True,
    help="Averages that name no subject stand in the same order in every condition.",
)
@negative_option
def command(
    sources: tuple[str, ...],
    out: Path,
    components: tuple[str, ...],
    window_ms: dict[str, tuple[float, float]],
    roi: dict[str, tuple[str, ...]],
    in_order: bool,
    negative: Literal["up", "down"],
) -> None:
    """Compare conditions in subject averages (Evoked, FIF): every paired difference, and with more than two an ANOVA.

    Give each condition as NAME=FILE, one average a subject in it (or NAME=FOLDER, a file a subject), or one FOLDER with a
    file a subject whose averages are the conditions. Differences are the condition named first minus the later.
    Baselines stay as they were saved.

    Writes amplitudes.csv (a row a subject and condition), differences.csv, anova.csv, a figure a component and
    manifest.json.
    """
    named = _named(sources)
    from clada_neuro.erp.components import PRESETS
    from clada_neuro.erp.conditions import read_conditions, read_subjects
    from clada_neuro.erp.measurement import Measurement
    from clada_neuro.study.averages import AveragesStage, compared, within

    names = components or tuple(dict.fromkeys([*PRESETS, *window_ms, *roi]))
    chosen = Measurement.specified(names, window_ms=window_ms, roi=roi).components
    groups = read_conditions(named) if named else read_subjects(Path(sources[0]))
    if not components:
        chosen, left = within(chosen, groups)
        for note in left:
            click.echo(f"note: {note}", err=True)
    found = compared(groups, chosen, in_order)
    AveragesStage(found, sources, negative).into(out)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"{found.amplitudes['subject'].nunique()} subjects, conditions {', '.join(groups)}")
    for tested in found.overall:
        click.echo(repr(tested))
    for pairs, adjusted in found.differences.values():
        for difference, p in zip(pairs, adjusted, strict=True):
            click.echo(f"{difference!r}" + (f", p (Holm) = {p:.4f}" if len(pairs) > 1 else ""))
    click.echo(f"written to {out}; amplitudes.csv is a table for clada-neuro fit")


def _named(sources: tuple[str, ...]) -> dict[str, Path]:
    """Return conditions and their files; none where one folder holds them all.

    Raises
    ------
    DataError
    """
    if len(sources) == 1 and Path(sources[0]).is_dir():
        return {}
    found: dict[str, Path] = {}
    for source in sources:
        name, equals, path = source.partition("=")
        if not (name and equals and path):
            raise DataError(
                f"'{source}' given, NAME=FILE expected, for instance control=control-ave.fif, or one folder with a file a "
                "subject"
            )
        if name in found:
            raise DataError(f"condition '{name}' is given twice; name each of them once")
        found[name] = Path(path)
    return found
