"""``clada-neuro report``: rebuild the page from the tables of an output folder."""

from pathlib import Path

import click


@click.command("report")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def command(folder: Path) -> None:
    """Rebuild DIR/report.html, DIR/figures and DIR/tables from the tables in DIR."""
    from clada_neuro.artifacts import sole_writer
    from clada_neuro.errors import DataError
    from clada_neuro.reporting.build import report

    if not folder.is_dir():
        raise DataError(f"'{folder}' is not a folder; pass the folder that `clada-neuro run` wrote to")
    with sole_writer(folder):
        click.echo(report(folder))
