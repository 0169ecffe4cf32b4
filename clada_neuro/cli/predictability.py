"""``clada-neuro predictability``: which function of probability speaks to the responses of a run."""

from pathlib import Path

import click


@click.command()
@click.argument("run", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    default=10,
    show_default=True,
    help="Parts of the items, each of which is left out once.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes [default: every core].")
def command(run: Path, folds: int, jobs: int | None) -> None:
    """Put powers of surprisal, the root of probability, probability and cloze in place of surprisal in the models of DIR.

    Writes tables/predictability.csv: estimates, and gains in log-likelihood a trial on items left out.
    """
    import os

    from clada_neuro.study.predictability import TABLE, predictability

    found = predictability(run, folds=folds, jobs=jobs or os.cpu_count() or 1)
    for note in found.attrs["notes"]:
        click.echo(f"note: {note}", err=True)
    shown = [
        "model",
        "form",
        "formula",
        "estimate",
        "se",
        "heldout_none",
        "heldout_none_se",
        "heldout_surprisal",
    ]
    click.echo(found[[*shown, "heldout_surprisal_se"]].to_string(index=False, float_format="{:.3g}".format))
    click.echo(f"{run / TABLE}")
