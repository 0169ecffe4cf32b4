"""``clada-neuro encode``: how well a model's states predict the responses of a run, beside controls."""

from pathlib import Path

import click

from clada_neuro.errors import DataError


@click.command()
@click.argument("run", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--layers", default="all", show_default=True, metavar="all|every:N|N,N…", help="Which layers.")
@click.option("--folds", type=click.IntRange(min=3), default=5, show_default=True, help="Of items.")
@click.option(
    "--shuffles",
    type=click.IntRange(min=19),
    default=200,
    show_default=True,
    help="Exchanges of items under the null.",
)
@click.option("--seed", default=0, show_default=True, help="Of folds, exchanges and untrained weights.")
@click.option(
    "--epochs",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The epochs of the run (FIF file or folder): predicted at every moment, too.",
)
@click.option(
    "--step", "step_ms", type=float, metavar="MS", help="With --epochs: of time there [default: 20]."
)
def command(
    run: Path, layers: str, folds: int, shuffles: int, seed: int, epochs: Path | None, step_ms: float | None
) -> None:
    """Predict the mean responses of DIR, written by `run`, from its model's states by layer, on items left out.

    Beside them: feed-forward activity, the model untrained, the input embedding, position, length, frequency and surprisal, the
    next word's states, and a noise ceiling. Writes encoding.json and tables/encoding*.csv; `report` draws them.
    """
    if step_ms is not None and epochs is None:
        raise DataError("--step is of time in epochs; give --epochs, too")
    from clada_neuro.study.encode import OVER_TIME, TABLE, encode

    found = encode(
        run,
        layers=layers,
        folds=folds,
        shuffles=shuffles,
        seed=seed,
        epochs=epochs,
        **({} if step_ms is None else {"step_ms": step_ms}),
        progress=lambda line: click.echo(line, err=True),
    )
    for note in found.attrs["notes"]:
        click.echo(f"note: {note}", err=True)
    best = found.loc[found.groupby(["response", "vectors"], sort=False)["r"].idxmax()]
    shown = ["response", "vectors", "layer", "r", "se", "p", "p_family", "ceiling"]
    click.echo(best[shown].to_string(index=False, float_format="{:.3f}".format, na_rep=""))
    click.echo("\n".join(str(run / name) for name in (TABLE, *([OVER_TIME] if epochs else []))))
