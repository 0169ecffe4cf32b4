"""``clada-neuro trace``: surprisal, entropy and activity of every token and word of a stimulus file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clada_neuro.cli.options import (
    READING,
    language_option,
    layers_options,
    model_options,
    scale_options,
    stimulus_file_options,
)
from clada_neuro.cli.policy_options import policy_options, scope_option

if TYPE_CHECKING:
    import pandas as pd

    from clada_neuro.instrument.trace import Trace


@click.command()
@click.argument("stimuli")
@click.option("--out", type=click.Path(path_type=Path), help="Output folder, or one file NAME.csv.")
@click.option(
    "--csv",
    "as_csv",
    is_flag=True,
    help="Write one file, the stimuli beside the measures of their words [default name: STIMULI_words.csv].",
)
@model_options
@policy_options
@scope_option
@language_option
@click.option(
    "--top-k",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Also record the N most probable tokens before each token (top_k.parquet).",
)
@layers_options
@scale_options
@stimulus_file_options
def command(
    stimuli: str,
    out: Path | None,
    as_csv: bool,
    language: str | None,
    scheduler: str | None,
    **setting: Any,
) -> None:
    """Measure every token and word of STIMULI: a file (CSV, TSV, xlsx, JSONL, marked text, SyntaxGym suite), a data set or demo.

    Writes tokens, layers and words (parquet), words.csv, conditions.csv (means by condition), of suites and minimal
    pairs accuracy.csv and predictions.csv, and manifest.json. A dense trace measures neuron_sparsity at the thresholds that
    the calibration has for --sparsity (of --scope). Interrupt it at any time; the same command continues from the last finished part.

    With --csv, or --out NAME.csv, writes one file in place of a folder, a row a word: your columns, then the word's
    measures, in the order of your rows. Settings and versions stand in NAME.json beside it.
    """
    from clada_neuro.instrument.layer_choice import read_choice
    from clada_neuro.scale.setting import Setting
    from clada_neuro.study.named import language_of, resolve_stimuli

    asked = (setting["layers"], setting["policy"] != "dense", setting["attention"], setting["translators"])
    read_choice(*asked)
    table_of_its_own = "--top-k" if setting["top_k"] else "--layers" if setting["layers"] else ""
    place = _place(stimuli, out, as_csv, table_of_its_own)
    table = resolve_stimuli(stimuli, **{name: setting.pop(name) for name in READING})
    for note in table.attrs.get("notes", []):
        click.echo(f"note: {note}", err=True)
    setting["language"] = language or language_of(stimuli)
    from clada_neuro.records.overview import HOW
    from clada_neuro.scale.spread import trace_by  # loads PyTorch, which wrong input need not wait for
    from clada_neuro.stats.conditions import at_critical_words

    one_file = place.suffix.lower() == ".csv"
    traced = trace_by(Setting(**setting), table, None if one_file else place, scheduler)
    for note in traced.remarks(table):
        click.echo(f"note: {note}", err=True)
    means = at_critical_words(traced.words, table)
    if one_file:
        _write_file(traced, place)
    else:
        _write_beside(place, means)
    click.echo(f"{traced} in {place}")
    if len(means):
        click.echo(f"critical words by condition ({HOW}):")
        click.echo(means.to_string(index=False, float_format="{:.3f}".format))
    if table.attrs.get("predictions"):
        _report_accuracy(traced.tokens, table, None if one_file else place)


def _place(stimuli: str, out: Path | None, as_csv: bool, table_of_its_own: str) -> Path:
    """Return the folder or the CSV file that is written, before anything is computed.

    Raises
    ------
    DataError
    """
    from clada_neuro.artifacts import output_folder
    from clada_neuro.errors import DataError

    named = out is not None and out.suffix.lower() == ".csv"
    if out is None and not as_csv:
        raise DataError(
            "say where to write: --out FOLDER for all tables, or --csv for one file with a row a word"
        )
    if as_csv and out is not None and not named:
        raise DataError(
            f"--csv writes one file: give --out {out}.csv, or leave --csv out (a folder has words.csv)"
        )
    place = out or Path(f"{Path(stimuli).stem}_words.csv")
    if place.suffix.lower() != ".csv":
        return place
    if table_of_its_own:
        raise DataError(f"{table_of_its_own} writes a table of its own; give a folder as --out")
    if place.is_dir():
        raise DataError(f"'{place}' is a folder; choose another name for the CSV file")
    if place.exists() and Path(stimuli).exists() and place.samefile(stimuli):
        raise DataError(f"'{place}' is the file of stimuli itself; choose another --out")
    output_folder(place.parent)
    return place


def _write_file(traced: "Trace", path: Path) -> None:
    from clada_neuro.artifacts import sole_writer
    from clada_neuro.exports import own_columns_first, write_for_r
    from clada_neuro.records.manifest import Manifest

    with sole_writer(path):
        write_for_r(own_columns_first(traced.words), path)
        Manifest.write(path.with_suffix(".json"), traced.manifest)


def _write_beside(folder: Path, means: "pd.DataFrame") -> None:
    """Write the words as CSV, and their means by condition, where there are conditions."""
    from clada_neuro.exports import csv_beside, write_csv

    if note := csv_beside(folder / "words.parquet"):
        click.echo(f"note: {note}", err=True)
    if len(means):
        write_csv(means, folder / "conditions.csv")


def _report_accuracy(tokens: "pd.DataFrame", table: "pd.DataFrame", folder: Path | None) -> None:
    """Print and, into a folder, write of how many items a suite's predictions hold, and of which."""
    from clada_neuro.exports import write_csv
    from clada_neuro.study.accuracy import HOW, accuracy, judge

    judged = judge(tokens, table)
    found = accuracy(judged)
    if folder is not None:
        write_csv(judged, folder / "predictions.csv")
        write_csv(found, folder / "accuracy.csv")
    click.echo(f"accuracy ({HOW}):")
    click.echo(found.drop(columns="formula").to_string(index=False, float_format="{:.3f}".format, na_rep=""))
