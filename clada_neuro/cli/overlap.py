"""``clada-neuro overlap``: regression ERPs from continuous EEG, in which responses to successive words are taken apart."""

from pathlib import Path

import click

from clada_neuro.cli.options import index_base_option, parts_options, recording_options


@click.command(short_help="Take overlapping responses in continuous EEG apart.")
@click.argument("words", type=click.Path(path_type=Path))
@click.option(
    "--eeg",
    required=True,
    type=click.Path(path_type=Path),
    help="Recording (FIF, BrainVision, EEGLAB, EDF, BDF), folder of recordings, or BIDS folder.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the tables.")
@recording_options
@index_base_option
@click.option(
    "--formula",
    default="1 + center(surprisal_bits)",
    show_default=True,
    metavar="FORMULA",
    help="What a word's response depends on, R notation; columns of WORDS or of the events.",
)
@click.option(
    "--event",
    "others",
    multiple=True,
    metavar="NAME[=FORMULA]",
    help="Another type of event with a response, by its code or trial_type, e.g. press or 'press=1 + rt'; may be repeated.",
)
@click.option(
    "--span",
    default="-100:1000",
    show_default=True,
    metavar="START:END",
    help="When an event has a response, ms around it.",
)
@click.option(
    "--splines", type=click.IntRange(min=4), help="B-splines over time [default: every sample on its own]."
)
@click.option(
    "--ridge", is_flag=True, help="Shrink responses, by the penalty that predicts held-out time best."
)
@click.option(
    "--soa",
    type=click.FloatRange(min=1),
    metavar="MS",
    help="From word to word, where it was fixed: checked in the recording.",
)
@click.option(
    "--epochs",
    is_flag=True,
    help="Also write epochs of words without their neighbours' responses, for run --epochs.",
)
@click.option("--tfce", is_flag=True, help="Also threshold-free cluster enhancement over subjects.")
@click.option(
    "--permutations",
    default=1000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Of the test over subjects.",
)
@click.option("--seed", default=0, show_default=True, help="Of the permutations.")
@parts_options
def command(
    words: Path,
    eeg: Path,
    out: Path,
    triggers: Path | None,
    trial_index_base: int | None,
    formula: str,
    others: tuple[str, ...],
    span: str,
    splines: int | None,
    ridge: bool,
    delay_ms: float,
    soa: float | None,
    task: str | None,
    epochs: bool,
    tfce: bool,
    permutations: int,
    seed: int,
    jobs: int | None,
    scheduler: str | None,
) -> None:
    """Estimate the responses to the words of WORDS (parquet) in continuous EEG, where the next word comes before they end.

    Writes waveforms (µV per unit of each predictor, with 95 % intervals), what became of every event and word, each
    subject's averages for MNE, and clusters over subjects.
    """
    import os

    from clada_neuro.artifacts import output_folder
    from clada_neuro.errors import DataError
    from clada_neuro.lineage import read_words
    from clada_neuro.scale.parts import placed
    from clada_neuro.study.recordings import counted_from, read_triggers

    start, end = _span(span)
    table = counted_from(read_words(words), trial_index_base)
    declared = read_triggers(triggers)
    if not eeg.exists():
        raise DataError(f"recording '{eeg}' does not exist")
    folder = output_folder(out)

    from clada_neuro.erp.overlap.events import EventModel  # loads MNE and the statistics
    from clada_neuro.erp.overlap.stage import OverlapOptions, OverlapStage, Reading

    models = [EventModel("word", formula, start, end, splines)]
    for other in others:
        name, _, own = other.partition("=")
        models.append(EventModel(name.strip(), own.strip() or "1", start, end, splines))
    reading = Reading(declared, 1e-3 * delay_ms, 1e-3 * soa if soa else None, task)
    asked = OverlapOptions(ridge, permutations, seed, tfce, epochs)
    with placed(scheduler, jobs or os.cpu_count() or 1) as place:
        stage = OverlapStage(
            eeg, table, models, reading, asked, lambda line: click.echo(line, err=True), place
        )
        click.echo(f"waveforms and clusters written to {stage.into(folder)}")


def _span(text: str) -> tuple[float, float]:
    """Return START:END in seconds."""
    try:
        start, end = (1e-3 * float(part) for part in text.split(":"))
    except ValueError:
        raise click.BadParameter(
            f"'{text}' given; two times in ms such as -100:1000 expected", param_hint="--span"
        ) from None
    return start, end
