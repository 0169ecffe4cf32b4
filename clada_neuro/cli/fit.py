"""``clada-neuro fit``: mixed models from a table of trials, and which of several fits better."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clada_neuro.cli.options import pairs, table_options, where_option

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
@click.option(
    "--family",
    default="gaussian",
    show_default=True,
    help="Or binomial (0 and 1, or hits/(hits + misses)) or poisson: generalised mixed models.",
)
@click.option("--engine", default="mixedlm", show_default=True, help="mixedlm, statsmodels or lme4.")
@click.option("--ml", is_flag=True, help="Maximum likelihood instead of REML.")
@click.option("--zscore", multiple=True, metavar="COLUMN", help="Predictor to z-score; may be repeated.")
@click.option("--df", default="satterthwaite", show_default=True, help="Or kenward-roger (REML only).")
@click.option(
    "--robust",
    metavar="COLUMN",
    help="Standard errors that hold where residuals are correlated within the levels of COLUMN, e.g. subject:stimulus_id.",
)
@click.option(
    "--contrast",
    "contrasts",
    multiple=True,
    metavar="FACTOR=CONTRAST",
    callback=pairs,
    help="e.g. condition=sum, treatment(low), helmert, successive, polynomial, 'c(-0.5, 0.5)'; may be repeated.",
)
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
    with the one before it (comparison.csv).
    """
    import warnings

    import pandas as pd

    from clada_neuro.artifacts import output_folder, sole_writer, write_text
    from clada_neuro.exports import write_csv, write_for_r
    from clada_neuro.lineage import refuse_other_trials, store_estimates, trials_id
    from clada_neuro.responses.repeats import repeats_in
    from clada_neuro.responses.trials import kind_of_rows, read_columns
    from clada_neuro.stats.alternatives import alternatives, common_rows
    from clada_neuro.stats.exclusions import keep
    from clada_neuro.stats.formula import names_of, parse
    from clada_neuro.stats.mixed import FitWarning, fit
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
    folder, stamp = output_folder(out), trials_id(trials, data)
    refuse_other_trials(folder, stamp, trials)
    used = data if len(formulas) == 1 else common_rows(data, formulas)
    if len(used) < len(data):
        click.echo(f"{len(used):,} of {len(data):,} rows have a value in every column of all formulas")
    found = []
    for at, formula in enumerate(parsed, start=1):
        scaled = [name for name in zscore if len(parsed) == 1 or name in formula.variables()]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            name = None if len(parsed) == 1 else f"model {at}"
            found.append(
                fit(
                    used,
                    formula.text,
                    reml=not ml,
                    engine=engine,
                    name=name,
                    standardize=scaled or False,
                    contrasts={
                        factor: kind
                        for factor, kind in contrasts.items()
                        if len(parsed) == 1 or factor in formula.variables()
                    },
                    df=df,
                    family=family,
                    robust=robust,
                )
            )
        click.echo(found[-1].summary())
    sampled = [one.bayes(progress=True) for one in found] if bayes else []
    for posterior in sampled:
        click.echo(f"\n{posterior.summary()}")
    compared = alternatives(found) if len(found) > 1 else None
    if compared is not None:
        click.echo(_printed(compared))
    with sole_writer(folder):
        scripts = [one.to_r_script("refit.csv") for one in found]
        entries = [
            one.to_dict() | {"lme4_script": script} for one, script in zip(found, scripts, strict=True)
        ]
        for entry, posterior in zip(entries, sampled, strict=False):
            entry["bayes"] = posterior.to_dict()
        store_estimates(folder, entries, None, stamp)
        write_for_r(used, folder / "refit.csv")
        write_text(folder / "refit.R", "\n".join(scripts))
        if broom:
            for table in ("tidy", "glance"):
                frames = [getattr(one, table)().assign(model=one.name) for one in found]
                write_for_r(pd.concat(frames, ignore_index=True), folder / f"{table}.csv")
        if compared is None:
            (folder / "comparison.csv").unlink(missing_ok=True)  # of another call
        else:
            write_csv(compared, folder / "comparison.csv")
        for package in packages:  # last: one that does not take a model loses nothing
            more = [one.to_r_script("refit.csv", package=package) for one in found]
            write_text(folder / f"refit_{package}.R", "\n".join(more))


def _printed(compared: "pd.DataFrame") -> str:
    from clada_neuro.numerals import p_text

    lines = ["", "Comparison by maximum likelihood; each model against the one before:"]
    for row in compared.itertuples():
        test = "" if row.chi2 != row.chi2 else f"; χ²({row.df}) = {row.chi2:.3f}, {p_text(row.p)}"
        note = f"; {row.note}" if row.note else ""
        lines.append(
            f"{row.name}: {row.n_parameters} parameters, log-likelihood {row.loglik:.3f}, AIC {row.aic:.2f}, "
            f"BIC {row.bic:.2f}{test}{note}"
        )
    return "\n".join(lines)
