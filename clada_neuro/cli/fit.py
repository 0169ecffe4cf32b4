"""``clada-neuro fit``: one mixed model from a table of trials."""

from pathlib import Path

import click

from clada_neuro.cli.options import trial_file_options, where_option


@click.command(short_help="Fit a mixed model to a table of trials.")
@click.argument("trials", type=click.Path(path_type=Path))
@click.option("--formula", required=True, help="R notation, e.g. 'n400_uv ~ surprisal_bits + (1 | subject)'.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for fits.json.")
@click.option("--engine", default="mixedlm", show_default=True, help="mixedlm, statsmodels or lme4.")
@click.option("--ml", is_flag=True, help="Maximum likelihood instead of REML.")
@click.option("--zscore", multiple=True, metavar="COLUMN", help="Predictor to z-score; may be repeated.")
@where_option
@trial_file_options
def command(
    trials: Path,
    formula: str,
    out: Path,
    engine: str,
    ml: bool,
    zscore: tuple[str, ...],
    where: tuple[str, ...],
    trial_encoding: str | None,
    trial_sheet: str | None,
) -> None:
    """Fit FORMULA to TRIALS (CSV, TSV, xlsx or parquet), print the table, write fits.json and refit.R with its data."""
    import warnings

    from clada_neuro.artifacts import output_folder, sole_writer, write_text
    from clada_neuro.lineage import refuse_other_trials, store_estimates, trials_id
    from clada_neuro.reporting.tables import write_csv
    from clada_neuro.responses.trials import read_columns
    from clada_neuro.stats.exclusions import keep
    from clada_neuro.stats.formula import names_of, parse
    from clada_neuro.stats.mixed import FitWarning, fit

    parsed = parse(formula)
    data = read_columns(
        trials,
        numbers=names_of(parsed.response_side),
        required=parsed.variables(),
        encoding=trial_encoding,
        sheet=trial_sheet or 0,
    )
    data, steps = keep(data, where)
    for step in steps:
        click.echo(
            f"{step['rows_after']:,} of {step['rows_before']:,} rows used: {step['rows_removed']:,} {step['reason']}"
        )
    folder, stamp = output_folder(out), trials_id(trials, data)
    refuse_other_trials(folder, stamp, trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        found = fit(data, formula, reml=not ml, engine=engine, standardize=list(zscore) or False)
    click.echo(found.summary())
    with sole_writer(folder):
        store_estimates(folder, [found.to_dict()], None, stamp)
        # Without the byte-order mark, which R would read into the first column's name.
        write_csv(data, folder / "refit.csv", encoding="utf-8")
        write_text(folder / "refit.R", found.to_r_script("refit.csv"))
