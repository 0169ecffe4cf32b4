"""``clada-neuro check``: what stimuli and trials are understood as, without a model."""

from pathlib import Path
from typing import Any

import click

from clada_neuro.cli.options import (
    language_option,
    matching_options,
    stimulus_file_options,
    trial_file_options,
)


@click.command()
@click.argument("stimuli")
@click.argument("trials", type=click.Path(path_type=Path), required=False)
@language_option
@stimulus_file_options
@trial_file_options
@matching_options
def command(
    stimuli: str,
    trials: Path | None,
    language: str | None,
    trial_columns: dict[str, str],
    trial_encoding: str | None,
    trial_sheet: str | None,
    trial_index_base: int | None,
    max_lost: float,
    **reading: Any,
) -> None:
    """Say what is understood of STIMULI (a file, a data set or demo) and TRIALS, in seconds and without a model.

    Texts, items and conditions, words and critical words, regions, frequencies that are unknown, how trials find their
    words, the design, and the responses.
    """
    from clada_neuro.responses.trials import read_trials
    from clada_neuro.study.check import check
    from clada_neuro.study.named import language_of, resolve_stimuli

    table = resolve_stimuli(stimuli, **reading)
    given = None
    if trials is not None:
        given = read_trials(trials, columns=trial_columns, encoding=trial_encoding, sheet=trial_sheet or 0)
    told = check(
        table,
        given,
        language=language or language_of(stimuli),
        trial_index_base=trial_index_base,
        max_lost=max_lost,
    )
    for line in told:
        click.echo(line)
