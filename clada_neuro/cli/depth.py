"""``clada-neuro depth``: which layer of the model speaks to the responses of a run."""

from pathlib import Path

import click

from clada_neuro.cli.options import parts_options
from clada_neuro.errors import DataError


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
@click.option(
    "--epochs",
    type=click.Path(path_type=Path),
    help="MNE epochs of the same words (FIF file or folder): also when each layer speaks, and where on the scalp.",
)
@click.option(
    "--control",
    "controls",
    multiple=True,
    metavar="NAME",
    help="With --epochs: a measure of words in every regression, such as length; may be repeated.",
)
@click.option(
    "--roi",
    metavar="CHANNEL,…",
    help="With --epochs: electrodes whose mean is mapped over layers and time [default: the N400's].",
)
@click.option(
    "--until", type=float, metavar="MS", help="With --epochs: where the maps end [default: the epochs' end]."
)
@click.option(
    "--permutations",
    default=1000,
    show_default=True,
    type=click.IntRange(min=19),
    help="With --epochs: sign flips of a test.",
)
@parts_options
def command(
    run: Path,
    settings: Path | None,
    measures: tuple[str, ...],
    replicates: int | None,
    epochs: Path | None,
    controls: tuple[str, ...],
    roi: str | None,
    until: float | None,
    permutations: int,
    jobs: int | None,
    scheduler: str | None,
) -> None:
    """Put each layer's measures in place of the last layer's in the models of DIR, written by `run --layers`.

    Writes depth.json and tables/depth_*.csv: a profile over layers with simultaneous intervals, gains on items held out, and
    the best layer, chosen without the items on which it is scored. With --epochs also layer_maps/: what each layer's measure
    (surprisal as that layer predicts, unless --measure says otherwise) does over time and scalp, its onset and peak.
    """
    import os

    if not epochs and (controls or roi or until is not None):
        raise DataError("--control, --roi and --until are of maps over time; give --epochs, too")
    from clada_neuro.study.depth import depth

    def tell(line: str) -> None:
        click.echo(line.strip(), err=True)

    found = depth(
        run,
        settings=settings,
        measures=measures or None,
        replicates=replicates,
        jobs=jobs or os.cpu_count() or 1,
        scheduler=scheduler,
        progress=tell,
    )
    click.echo(f"{len(found.profile)} models: {run / 'depth.json'}, {run / 'tables'}")
    if epochs:
        from clada_neuro.study.layer_maps import layer_maps

        folder = layer_maps(
            run,
            epochs,
            measures=measures or None,
            controls=controls,
            roi=roi.split(",") if roi else None,
            tmax=None if until is None else 1e-3 * until,
            n_permutations=permutations,
            progress=tell,
        )
        click.echo(f"maps over layers and time: {folder}; `clada-neuro report {run}` shows them")
