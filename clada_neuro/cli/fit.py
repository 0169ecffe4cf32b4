"""``clada-neuro fit``: one mixed model from a table of trials."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import pandas as pd


@click.command(short_help="Fit a mixed model to a table of trials.")
@click.argument("trials", type=click.Path(path_type=Path))
@click.option("--formula", required=True, help="R notation, e.g. 'n400_uv ~ surprisal_bits + (1 | subject)'.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for fits.json.")
@click.option("--engine", default="mixedlm", show_default=True, help="mixedlm, statsmodels or lme4.")
@click.option("--ml", is_flag=True, help="Maximum likelihood instead of REML.")
@click.option("--zscore", multiple=True, metavar="COLUMN", help="Predictor to z-score; may be repeated.")
def command(trials: Path, formula: str, out: Path, engine: str, ml: bool, zscore: tuple[str, ...]) -> None:
    """Fit FORMULA to TRIALS (csv, tsv or parquet), print the table, write fits.json and refit.R."""
    import warnings

    from clada_neuro.artifacts import output_folder, sole_writer, write_json, write_text
    from clada_neuro.stats.mixed import FitWarning, fit

    data = _read(trials)
    folder = output_folder(out)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        found = fit(data, formula, reml=not ml, engine=engine, standardize=list(zscore) or False)
    click.echo(found.summary())
    with sole_writer(folder):
        write_json(folder / "fits.json", [found.to_dict()])
        write_text(folder / "refit.R", found.to_r_script(str(trials)))


def _read(path: Path) -> "pd.DataFrame":
    import pandas as pd

    from clada_neuro.artifacts import read_table
    from clada_neuro.errors import DataError

    if path.suffix == ".parquet":
        return read_table(path)
    try:
        # pandas would take the word "None" for a missing value.
        missing = ["", "NA", "NaN", "nan"]
        separator = "\t" if path.suffix in (".tsv", ".txt") else ","
        return pd.read_csv(path, sep=separator, keep_default_na=False, na_values=missing, low_memory=False)
    except FileNotFoundError:
        raise DataError(f"no trials file at '{path}'; give a .csv, .tsv or .parquet file") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"'{path}' cannot be read as a table: {error}") from error
