"""``clada-neuro align``: join a words table with trials."""

from pathlib import Path

import click

from clada_neuro.cli.options import matching_options, table_options


@click.command()
@click.argument("words", type=click.Path(path_type=Path))
@click.argument("trials", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for trials.parquet.")
@table_options
@matching_options
def command(
    words: Path,
    trials: Path,
    out: Path,
    trial_columns: dict[str, str],
    trial_encoding: str | None,
    trial_sheet: str | None,
    trial_index_base: int | None,
    max_lost: float,
) -> None:
    """Give each trial in TRIALS (CSV, TSV, xlsx or parquet) the measures of its word in WORDS (parquet)."""
    from clada_neuro.artifacts import output_folder
    from clada_neuro.lineage import read_words, trace_beside
    from clada_neuro.responses.alignment import align
    from clada_neuro.responses.stage import AlignStage
    from clada_neuro.responses.trials import read_trials

    folder = output_folder(out)
    table = read_trials(trials, columns=trial_columns, encoding=trial_encoding, sheet=trial_sheet or 0)
    alignment = align(read_words(words), table, index_base=trial_index_base, max_lost=max_lost)
    AlignStage(alignment, trace_beside(words)).into(folder)
    for step in alignment.joins:
        click.echo(f"{step['step']}: {step['rows_removed']} of {step['rows_before']} ({step['reason']})")
    for note in alignment.notes:
        click.echo(f"note: {note}")
    click.echo(f"{len(alignment.trials)} trials written to {folder / 'trials.parquet'}")
