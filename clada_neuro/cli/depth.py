"""``clada-neuro depth``: which layer of the model speaks to the responses of a run."""

from pathlib import Path

import click

from clada_neuro.cli.options import parts_options


@click.command()
@click.argument("run", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--settings",
    type=click.Path(path_type=Path),
    help="What was decided in advance (TOML) [default: the one that ships].",
)
@click.option(
    "--measure",
    "measures",
    multiple=True,
    metavar="NAME",
    help="A column of word_layers.parquet, in place of the settings'; may be repeated.",
)
@click.option(
    "--replicates",
    type=click.IntRange(min=19),
    help="Responses drawn under the null, in place of the settings' number.",
)
@parts_options
def command(
    run: Path,
    settings: Path | None,
    measures: tuple[str, ...],
    replicates: int | None,
    jobs: int | None,
    scheduler: str | None,
) -> None:
    """Put each layer's measures in place of the last layer's in the models of DIR, written by `run --layers`.

    Writes depth.json and tables/depth_*.csv: a profile over layers with simultaneous intervals, gains on items held out, and
    the best layer, chosen without the items on which it is scored.
    """
    import os

    from clada_neuro.study.depth import depth

    found = depth(
        run,
        settings=settings,
        measures=measures or None,
        replicates=replicates,
        jobs=jobs or os.cpu_count() or 1,
        scheduler=scheduler,
        progress=lambda line: click.echo(line.strip(), err=True),
    )
    click.echo(f"{len(found.profile)} models: {run / 'depth.json'}, {run / 'tables'}")
