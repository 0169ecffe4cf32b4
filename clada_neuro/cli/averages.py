"""``clada-neuro averages``: subject averages of two conditions or more, compared in a component's window."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from clada_neuro.cli.options import component_options, negative_option
from clada_neuro.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from clada_neuro.erp.components import Component
    from clada_neuro.erp.pairing import Groups


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
    import pandas as pd

    from clada_neuro.artifacts import output_folder, sole_writer, versions, write_json
    from clada_neuro.erp.components import PRESETS
    from clada_neuro.erp.conditions import omnibus, pairwise, read_conditions, read_subjects, table
    from clada_neuro.erp.measurement import Measurement
    from clada_neuro.exports import write_for_r

    names = components or tuple(dict.fromkeys([*PRESETS, *window_ms, *roi]))
    asked = Measurement.specified(names, window_ms=window_ms, roi=roi).components
    groups = read_conditions(named) if named else read_subjects(Path(sources[0]))
    chosen = asked if components else _within(asked, groups)
    compared = {one.name: pairwise(groups, one, in_order) for one in chosen}
    amplitudes, _ = table(groups, chosen, in_order)
    overall = [omnibus(amplitudes, one) for one in chosen] if len(groups) > 2 else []
    folder = output_folder(out)
    with sole_writer(folder):
        write_for_r(amplitudes, folder / "amplitudes.csv")
        write_for_r(_differences(compared), folder / "differences.csv")
        if overall:
            write_for_r(pd.DataFrame([vars(one) for one in overall]), folder / "anova.csv")
        else:
            (folder / "anova.csv").unlink(missing_ok=True)  # of another call
        for one in chosen:
            _draw(groups, one, in_order, folder, negative)
        notes = list(
            dict.fromkeys(note for found, _ in compared.values() for one in found for note in one.notes)
        )
        document = {"sources": list(sources), "notes": notes, "versions": versions()}
        write_json(folder / "manifest.json", document)
    for note in notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"{amplitudes['subject'].nunique()} subjects, conditions {', '.join(groups)}")
    for tested in overall:
        click.echo(repr(tested))
    for found, adjusted in compared.values():
        for difference, p in zip(found, adjusted, strict=True):
            click.echo(f"{difference!r}" + (f", p (Holm) = {p:.4f}" if len(found) > 1 else ""))
    click.echo(f"written to {folder}; amplitudes.csv is a table for clada-neuro fit")


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


def _within(components: "tuple[Component, ...]", groups: "Groups") -> "tuple[Component, ...]":
    """Return the components, none of which was asked for by name, whose windows the averages hold; say which are left out.

    Raises
    ------
    DataError
        When there is none.
    """
    averages = [evoked for evokeds in groups.values() for evoked in evokeds]
    start, end = max(one.tmin for one in averages), min(one.tmax for one in averages)
    kept = tuple(one for one in components if one.within(start, end))
    if not kept:
        raise DataError(
            f"the averages cover {1e3 * start:g} to {1e3 * end:g} ms, the window of no component; give one with --window"
        )
    for one in components:
        if one not in kept:
            click.echo(
                f"note: {one.name} is left out: the averages cover {1e3 * start:g} to {1e3 * end:g} ms, not {one.window}",
                err=True,
            )
    return kept


def _differences(compared: dict[str, Any]) -> "pd.DataFrame":
    """Return a row a component and pair of conditions, the p of each also adjusted over the pairs of its component."""
    import pandas as pd

    return pd.DataFrame(
        [
            one.row() | {"p_holm": p}
            for found, adjusted in compared.values()
            for one, p in zip(found, adjusted, strict=True)
        ]
    )


def _draw(
    groups: "Groups", component: "Component", in_order: bool, folder: Path, negative: Literal["up", "down"]
) -> None:
    """Draw the conditions over time and, for two or three of them, the scalp in the window."""
    from clada_neuro.erp.evoked import differences, topographies, waveforms
    from clada_neuro.reporting.waveforms import averages

    shown = dict(groups)
    if len(groups) == 2:
        shown[" − ".join(groups)] = differences(groups, in_order=in_order)
    maps = topographies(shown, component)
    caption = (
        f"{component.name.upper()} ({component.window}): means of subjects' averages with 95 % intervals over subjects"
        + ("; below, the scalp in the window, µV." if len(shown) == 3 else ".")
    )
    figure = averages(
        component.name, caption, waveforms(groups, component), maps if len(shown) == 3 else maps[:0],
        (component.tmin, component.tmax), legend="Condition", negative=negative,
    )  # fmt: skip
    figure.save(folder)
