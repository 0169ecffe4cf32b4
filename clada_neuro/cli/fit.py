"""``clada-neuro fit``: mixed models from a table of trials, and which of several fits better."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clada_neuro.cli.options import fitting_options, table_options, where_option
from clada_neuro.stats.engines import DEFAULT, ENGINES

if TYPE_CHECKING:
    import pandas as pd


@click.command(short_help="Fit mixed models to a table of trials.")
@click.argument("trials", type=click.Path(path_type=Path))
@click.option(
    "--formula",
    "formulas",
    required=True,
    multiple=True,
    metavar="FORMULA",
    help="R notation, e.g. 'n400_uv ~ surprisal_bits + (1 | subject)'; several are compared.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for fits.json.")
@click.option("--engine", default=DEFAULT, show_default=True, help=f"One of {', '.join(ENGINES)}.")
@click.option("--ml", is_flag=True, help="Maximum likelihood instead of REML.")
@click.option("--zscore", multiple=True, metavar="COLUMN", help="Predictor to z-score; may be repeated.")
@click.option(
    "--robust",
    metavar="COLUMN",
    help="Standard errors that hold where residuals are correlated within the levels of COLUMN, e.g. subject:stimulus_id.",
)
@fitting_options
@click.option(
    "--bayes",
    is_flag=True,
    help="Also sample the posterior: stated priors, Bayes factors, LOO (extra 'bayes').",
)
@click.option(
    "--r-script",
    "packages",
    multiple=True,
    metavar="PACKAGE",
    help="Also write refit_PACKAGE.R: emmeans or brms; may be repeated.",
)
@click.option(
    "--broom", is_flag=True, help="Also write tidy.csv and glance.csv with the names of R's broom.mixed."
)
@where_option
@table_options
def command(
    trials: Path,
    formulas: tuple[str, ...],
    out: Path,
    family: str,
    engine: str,
    ml: bool,
    zscore: tuple[str, ...],
    df: str,
    robust: str | None,
    contrasts: dict[str, str],
    bayes: bool,
    packages: tuple[str, ...],
    broom: bool,
    where: tuple[str, ...],
    trial_encoding: str | None,
    trial_sheet: str | None,
) -> None:
    """Fit each FORMULA to TRIALS (CSV, TSV, xlsx or parquet), print the tables, write fits.json and refit.R with its data.

    Several formulas are fitted to the rows that all of them have values for, and compared by maximum likelihood, each
    with the one before it, also on held-out items (comparison.csv).
    """
    from clada_neuro.lineage import trials_id
    from clada_neuro.responses.repeats import repeats_in
    from clada_neuro.responses.trials import kind_of_rows, read_columns
    from clada_neuro.stats.exclusions import keep
    from clada_neuro.stats.formula import names_of, parse
    from clada_neuro.stats.formulas import FormulaStage
    from clada_neuro.stats.names import check_used
    from clada_neuro.stats.rscript import check_packages

    check_packages(packages)
    if bayes:
        from clada_neuro.stats.bayes.sampler import bambi

        bambi()  # one that is not installed is told before anything is fitted
    parsed = [parse(formula) for formula in formulas]
    check_used(
        "contrasts", contrasts, [name for one in parsed for name in one.variables()], " and ".join(formulas)
    )
    data = read_columns(
        trials,
        numbers={
            name for formula in parsed for name in names_of(formula.response_side) if family == "gaussian"
        },
        required=list(
            dict.fromkeys(
                [name for formula in parsed for name in formula.variables()]
                + (robust.split(":") if robust else [])
            )
        ),
        encoding=trial_encoding,
        sheet=trial_sheet or 0,
    )
    if rows := kind_of_rows(data):
        click.echo(f"note: {rows}")
    data, steps = keep(data, where)
    for note in repeats_in(data):
        click.echo(f"note: {note}")
    for step in steps:
        click.echo(
            f"{step['rows_after']:,} of {step['rows_before']:,} rows used: {step['rows_removed']:,} {step['reason']}"
        )
    found = FormulaStage(
        data,
        trials_id(trials, data),
        trials,
        tuple(parsed),
        {"reml": not ml, "engine": engine, "family": family, "df": df, "robust": robust},
        zscore=zscore,
        contrasts=contrasts,
        bayes=bayes,
        broom=broom,
        packages=packages,
        progress=click.echo,
    ).into(out)
    if found.compared is not None:
        click.echo(_printed(found.compared))


def _printed(compared: "pd.DataFrame") -> str:
    from clada_neuro.numerals import p_text

    lines = ["", "Comparison by maximum likelihood; each model against the one before:"]
    for row in compared.itertuples():
        test = "" if row.chi2 != row.chi2 else f"; χ²({row.df}) = {row.chi2:.3f}, {p_text(row.p)}"
        note = f"; {row.note}" if row.note else ""
        if row.delta_heldout == row.delta_heldout:
            test += f"; held-out items {row.delta_heldout:+.5f} (SE {row.se_heldout:.5f}) nats a trial"
        lines.append(
            f"{row.name}: {row.n_parameters} parameters, log-likelihood {row.loglik:.3f}, AIC {row.aic:.2f}, "
            f"BIC {row.bic:.2f}{test}{note}"
        )
    return "\n".join(lines)
