"""``clada-neuro maps``: mixed models at every electrode and moment, tested over the whole map."""

import os
from pathlib import Path
from typing import Literal

import click

from clada_neuro.cli.options import index_base_option, negative_option, parts_options


@click.command(short_help="Fit mixed models at every electrode and moment.")
@click.argument("words", type=click.Path(path_type=Path))
@click.option(
    "--epochs", required=True, type=click.Path(path_type=Path), help="MNE epochs (FIF file or folder)."
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for tables and figures.")
@index_base_option
@click.option(
    "--formula",
    default="surprisal_bits + (1 + surprisal_bits | subject) + (1 | item) + (1 | stimulus)",
    show_default=True,
    metavar="FORMULA",
    help="What the voltage depends on, lme4's notation; columns of WORDS, numeric ones z-scored.",
)
@click.option(
    "--baseline",
    type=click.Choice(["covariate", "none"]),
    default="covariate",
    show_default=True,
    help="Whether each electrode's mean before the word is a covariate.",
)
@click.option("--start", default=0.0, show_default=True, metavar="MS", help="Where the maps begin.")
@click.option(
    "--draws", default=999, show_default=True, type=click.IntRange(min=19), help="Of the null distribution."
)
@click.option("--seed", default=0, show_default=True, help="Of the draws.")
@parts_options
@click.option("--csv", "as_csv", is_flag=True, help="Also write the maps as CSV.")
@negative_option
def command(
    words: Path,
    epochs: Path,
    out: Path,
    trial_index_base: int | None,
    formula: str,
    baseline: str,
    start: float,
    draws: int,
    seed: int,
    jobs: int | None,
    scheduler: str | None,
    as_csv: bool,
    negative: Literal["up", "down"],
) -> None:
    """Map the effects of the words of WORDS (parquet) in EPOCHS: subjects, items and stimuli are random at once.

    Writes maps (b, standard error, t, p, p corrected for the whole map), clusters, variances and a figure for each effect.
    Interrupt it at any time; the same command continues from the electrodes that were finished.
    """
    from clada_neuro.study.maps import maps

    folder = maps(
        words,
        epochs,
        out,
        index_base=trial_index_base,
        scheduler=scheduler,
        jobs=jobs or os.cpu_count() or 1,
        progress=lambda line: click.echo(line, err=True),
        formula=formula,
        baseline=baseline,
        tmin=1e-3 * start,
        n_draws=draws,
        seed=seed,
    )
    from clada_neuro.exports import csv_beside
    from clada_neuro.reporting.maps import figures

    if as_csv and (note := csv_beside(folder / "maps.parquet")):
        click.echo(note, err=True)
    for figure in figures(folder, negative):
        figure.save(folder)
    click.echo(f"maps and figures written to {folder}")
