"""``clada-neuro depth``: which layer of the model speaks to the responses of a run."""

from pathlib import Path

import click

from clada_neuro.cli.options import index_base_option, listed, parts_options
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
    "--map-measure",
    "mapped",
    multiple=True,
    metavar="NAME",
    help="With --epochs: what is mapped [default: lens_surprisal_bits]; may be repeated.",
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
    callback=listed,
    help="With --epochs: electrodes whose mean is mapped over layers and time [default: the N400's].",
)
@click.option(
    "--until", type=float, metavar="MS", help="With --epochs: where the maps end [default: the epochs' end]."
)
@click.option(
    "--permutations",
    type=click.IntRange(min=19),
    help="With --epochs: sign flips of a test [default: 1000].",
)
@index_base_option
@parts_options
def command(
    run: Path,
    settings: Path | None,
    measures: tuple[str, ...],
    replicates: int | None,
    epochs: Path | None,
    mapped: tuple[str, ...],
    controls: tuple[str, ...],
    roi: list[str] | None,
    until: float | None,
    permutations: int | None,
    trial_index_base: int | None,
    jobs: int | None,
    scheduler: str | None,
) -> None:
    """Put each layer's measures in place of the last layer's in the models of DIR, written by `run --layers`.

    Writes depth.json and tables/depth_*.csv: a profile over layers with simultaneous intervals, gains on items held out, and
    the best layer, chosen without the items on which it is scored. With --epochs also layer_maps/: what each layer's measure
    (surprisal as that layer predicts, unless --map-measure says otherwise) does over time and scalp, its onset and peak.
    """
    import os

    of_time = {
        "--map-measure": mapped or None,
        "--control": controls or None,
        "--roi": roi,
        "--until": until,
        "--permutations": permutations,
        "--trial-index-base": trial_index_base,
    }
    if not epochs and (alone := [name for name, given in of_time.items() if given is not None]):
        raise DataError(f"{alone[0]} is of maps over time; give --epochs, too")
    if epochs and not epochs.exists():
        raise DataError(f"epochs '{epochs}' do not exist")
    from clada_neuro.study.depth import depth

    def tell(line: str) -> None:
        click.echo(line.strip(), err=True)

    if not epochs or (run / "fits.json").is_file():  # a trace has epochs' measures and no models
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
            measures=mapped or None,
            controls=controls,
            roi=roi,
            index_base=trial_index_base,
            tmax=None if until is None else 1e-3 * until,
            **({} if permutations is None else {"n_permutations": permutations}),
            progress=tell,
        )
        click.echo(f"maps over layers and time: {folder}; `clada-neuro report {run}` shows them")
