"""``clada-neuro report``: rebuild the page from the tables of an output folder."""

from pathlib import Path
from typing import Literal

import click

from clada_neuro.cli.options import negative_option


@click.command("report")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@negative_option
def command(folder: Path, negative: Literal["up", "down"]) -> None:
    """Rebuild DIR/report.html, DIR/figures and DIR/tables from the tables in DIR."""
    from clada_neuro.reporting.build import report

    click.echo(report(folder, negative=negative))
