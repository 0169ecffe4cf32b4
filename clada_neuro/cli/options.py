"""Options that several commands share: how to read a stimulus file, and which policy the model runs under."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

# Two numbers, each with a sign of its own: 300-500, -100-0, -200--100.
_SPAN = re.compile(r"\s*(-?\d+\.?\d*)\s*-\s*(-?\d+\.?\d*)\s*")


_EXAMPLES = {"NAME=COLUMN": "item=Frame", "FACTOR=CONTRAST": "condition=sum"}


def pairs(_: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Read repeated ``NAME=VALUE``."""
    found = {}
    for text in given:
        name, equals, column = text.partition("=")
        if not (name and equals):
            raise click.BadParameter(
                f"'{text}' given, {option.metavar} expected, for instance {_EXAMPLES[str(option.metavar)]}"
            )
        found[name] = column
    return found


def listed(_: click.Context, __: click.Parameter, given: str | None) -> list[str] | None:
    """Read names between commas."""
    return None if given is None else [name.strip() for name in given.split(",") if name.strip()]


def _whole(_: click.Context, __: click.Parameter, given: str | None) -> int | None:
    return None if given is None else int(given)


READING = ("columns", "index_base", "encoding", "sheet", "separator", "sentence_columns", "condition_columns")


def stimulus_file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --column, --index-base, --separator, --encoding and --sheet; the command receives them as `READING` names them."""
    for add in (
        click.option("--sheet", metavar="NAME", help="Sheet of a workbook [default: the first]."),
        click.option("--encoding", help="Encoding of the stimulus file, when it is not Unicode."),
        click.option(
            "--separator",
            metavar="MARK",
            help="What separates words that no space does, e.g. '|'; it is taken out of the text.",
        ),
        click.option(
            "--condition-columns",
            metavar="NAME,NAME…",
            callback=listed,
            help="Columns with a sentence each, whose names are the conditions, e.g. plausible,implausible.",
        ),
        click.option(
            "--sentence-columns",
            metavar="NAME,NAME…",
            callback=listed,
            help="Columns that make up the sentence, in their order, e.g. Context,Frame,Target.",
        ),
        click.option(
            "--index-base",
            type=click.Choice(["0", "1"]),
            callback=_whole,
            help="What critical_index counts from.",
        ),
        click.option(
            "--column",
            "columns",
            multiple=True,
            metavar="NAME=COLUMN",
            callback=pairs,
            help="What the stimulus file calls one of our columns, e.g. item=Frame; nothing (context=) where no column "
            "is one; may be repeated.",
        ),
    ):
        command = add(command)
    return command


def trial_file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --trial-encoding and --trial-sheet, passed on under the same names."""
    for add in (
        click.option(
            "--trial-sheet", metavar="NAME", help="Sheet of a workbook of trials [default: the first]."
        ),
        click.option("--trial-encoding", help="Encoding of the trials, when they are not Unicode."),
    ):
        command = add(command)
    return command


def table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --encoding and --sheet for the one table of text that a command reads, passed on as of trials.

    They may be written as ``run`` has them, where there are stimuli, too: --trial-encoding and --trial-sheet.
    """
    for add in (
        click.option(
            "--sheet",
            "--trial-sheet",
            "trial_sheet",
            metavar="NAME",
            help="Sheet of a workbook [default: the first].",
        ),
        click.option(
            "--encoding",
            "--trial-encoding",
            "trial_encoding",
            help="Encoding of the trials, when they are not Unicode.",
        ),
    ):
        command = add(command)
    return command


def fitting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --family, --df and --contrast: how models are fitted; passed on as ``family``, ``df`` and ``contrasts``."""
    for add in (
        click.option(
            "--contrast",
            "contrasts",
            multiple=True,
            metavar="FACTOR=CONTRAST",
            callback=pairs,
            help="e.g. condition=sum, treatment(low), helmert, successive, polynomial, 'c(-0.5, 0.5)'; may be repeated.",
        ),
        click.option(
            "--df", default="satterthwaite", show_default=True, help="Or kenward-roger (REML only)."
        ),
        click.option(
            "--family",
            default="gaussian",
            show_default=True,
            help="Or binomial (0 and 1, or hits/(hits + misses)) or poisson: generalised mixed models.",
        ),
    ):
        command = add(command)
    return command


def where_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --where, passed on under the same name."""
    return click.option(
        "--where",
        multiple=True,
        metavar="CONDITION",
        help="Use only these rows, as 'rt_ms > 100 & rt_ms < 3000'; the others are counted; may be repeated.",
    )(command)


index_base_option = click.option(
    "--trial-index-base",
    type=click.Choice(["0", "1"]),
    callback=_whole,
    help="What word_index counts from in trials, epochs or events [default: 0].",
)


def matching_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --trial-column, --trial-index-base and --max-lost: how trials find their words."""
    for add in (
        click.option(
            "--trial-column",
            "trial_columns",
            multiple=True,
            metavar="NAME=COLUMN",
            callback=pairs,
            help="What the trials call one of our columns, e.g. subject=Subj; may be repeated.",
        ),
        click.option(
            "--max-lost",
            type=click.FloatRange(0, 1),
            default=0.1,
            show_default=True,
            help="Largest share of trials that may stay without a word.",
        ),
        index_base_option,
    ):
        command = add(command)
    return command


revision_option = click.option(
    "--revision", metavar="NAME", help="Branch, tag or commit of a Hugging Face model [default: main]."
)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--model`` and what `loading_options` adds, passed on under the same names."""
    named = click.option(
        "--model", default="smollm2", show_default=True, help="Model name, checkpoint folder or GGUF file."
    )
    return named(loading_options(command))


def loading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--revision``, ``--start-token``, ``--dtype`` and ``--device``, passed on under the same names."""
    for add in (
        click.option(
            "--device",
            default="auto",
            show_default=True,
            help="auto, cpu, cuda, cuda:N, or spread: over all GPUs and, what they cannot hold, CPU memory.",
        ),
        click.option(
            "--dtype",
            default="float32",
            show_default=True,
            type=click.Choice(["float32", "bfloat16", "float64", "q8_0", "q4_1"]),
            help="Precision of the weights; q8_0, q4_1: GGUF's blocks of 8 and 4 bits (Llama, Mistral).",
        ),
        click.option(
            "--start-token", default="auto", show_default=True, help="auto, none, an id or a token."
        ),
        revision_option,
    ):
        command = add(command)
    return command


def layers_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--layers``, ``--attention`` and ``--translators``, passed on under the same names."""
    for add in (
        click.option(
            "--translators",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="With --layers: a tuned lens of the model (safetensors), through which inner layers predict.",
        ),
        click.option("--attention", is_flag=True, help="With --layers: also the entropy of attention."),
        click.option(
            "--layers",
            metavar="all|every:N|N,N…",
            help="Also measure every word in these layers of the model, from 0: predictions from inner layers, movement of the "
            "residual stream and activity (word_layers.parquet).",
        ),
    ):
        command = add(command)
    return command


def language_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--language``; the command receives `language`, None where it was not given."""
    return click.option(
        "--language",
        metavar="CODE",
        help="Language of the word frequencies, e.g. nl [default: the analysis's or data set's, else en].",
    )(command)


_SCHEDULER = click.option(
    "--scheduler",
    metavar="WHERE",
    help="Share the work out: ADDRESS of a Dask scheduler, local:N processes, or SLURM jobs (FILE.toml).",
)


def scale_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--scheduler`` and ``--threads``, passed on under the same names."""
    threads = click.option(
        "--threads",
        type=click.IntRange(min=1),
        help="CPU threads of the model; they move the last bits [default: OMP_NUM_THREADS, else every core].",
    )
    return _SCHEDULER(threads(command))


def parts_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--jobs`` and ``--scheduler`` of a stage that has no model, passed on under the same names."""
    jobs = click.option("--jobs", type=click.IntRange(min=1), help="Processes [default: every core].")
    return jobs(_SCHEDULER(command))


def _named(text: str) -> tuple[str, str]:
    """Split ``NAME=VALUE``; without a name it is empty."""
    name, _, value = text.rpartition("=")
    return name, value


def _windows(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    found = {}
    for text in given:
        name, span = _named(text)
        edges = _SPAN.fullmatch(span)
        if edges is None:
            raise click.BadParameter(
                f"'{text}' given, [NAME=]START-END in ms expected, as n400=300-500 or pre=-100-0"
            )
        found[name] = (float(edges[1]), float(edges[2]))
    return found


def _electrodes(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    found = {}
    for text in given:
        name, listed = _named(text)
        found[name] = tuple(part.strip() for part in listed.split(",") if part.strip())
        if not found[name]:
            raise click.BadParameter(f"'{text}' given, [NAME=]CHANNEL,CHANNEL,… expected, as n400=Cz,CPz,Pz")
    return found


def component_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --window and --roi: where components are measured."""
    for add in (
        click.option(
            "--roi",
            multiple=True,
            metavar="[NAME=]CHANNEL,…",
            callback=_electrodes,
            help="A component's electrodes, e.g. n400=Cz,CPz,Pz; may be repeated.",
        ),
        click.option(
            "--window",
            "window_ms",
            multiple=True,
            metavar="[NAME=]START-END",
            callback=_windows,
            help="A component's window, ms, e.g. n400=300-500; may be repeated.",
        ),
    ):
        command = add(command)
    return command


def recording_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --triggers, --delay and --task: which events of a continuous recording are which words."""
    for add in (
        click.option("--task", help="The task of a BIDS folder that holds several."),
        click.option(
            "--delay",
            "delay_ms",
            default=0.0,
            metavar="MS",
            help="From a trigger to the word on the screen [default: 0].",
        ),
        click.option(
            "--triggers",
            type=click.Path(path_type=Path),
            help="Words of a continuous recording: a table with a column trigger (codes) or onset (seconds) and the labels of the "
            "stimuli [default: the columns of BIDS events].",
        ),
    ):
        command = add(command)
    return command


def negative_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --negative, passed on under the same name."""
    return click.option(
        "--negative",
        type=click.Choice(["up", "down"]),
        default="down",
        show_default=True,
        help="Where negative voltages are in figures.",
    )(command)


def epochs_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --window, --roi, --baseline and --soa: how amplitudes are taken from epochs."""
    for add in (
        click.option(
            "--soa",
            "soa_ms",
            type=click.FloatRange(min=1),
            metavar="MS",
            help="From word to word, for word-by-word presentation: late windows are noted, next words' measures added.",
        ),
        click.option(
            "--baseline",
            type=click.Choice(["covariate", "subtract", "none"]),
            help="What becomes of the pre-stimulus mean of the epochs [default: covariate].",
        ),
        component_options,
    ):
        command = add(command)
    return command
