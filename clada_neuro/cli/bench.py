"""``clada-neuro bench``: speed, measured side by side."""

from pathlib import Path

import click

from clada_neuro.cli.options import model_options, revision_option
from clada_neuro.cli.policy_options import scope_option


@click.group()
def command() -> None:
    """Measure speed against dense decoding and against other tools."""


@command.command()
@click.option(
    "--model",
    default="smollm2",
    show_default=True,
    help="Model, or llama-1b-random or llama-7b-random for a larger shape.",
)
@click.option(
    "--sparsity",
    type=click.FloatRange(0, 1),
    multiple=True,
    default=(0.4, 0.5),
    show_default=True,
    help="Share of the scope's weight bytes not read; may be repeated.",
)
@scope_option
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "q8_0", "q4_1", "each"]),
    default="float32",
    show_default=True,
    help="q8_0, q4_1: GGUF's blocks of 8 and 4 bits, beside dense rows in float32 and bfloat16; each: CLADA and dense in each.",
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@revision_option
@click.option(
    "--tokens", type=click.IntRange(min=2), default=16, show_default=True, help="Tokens in a round."
)
@click.option(
    "--rounds", type=click.IntRange(min=1), default=15, show_default=True, help="Interleaved rounds."
)
@click.option(
    "--calibration", type=click.Path(path_type=Path), help="Of the model [default: the shipped one]."
)
@click.option(
    "--llama-python", type=click.Path(path_type=Path), help="Interpreter that has llama-cpp-python."
)
@click.option(
    "--llama-width",
    "llama_widths",
    type=click.Choice(["float32", "float16", "Q8_0", "Q4_1"]),
    multiple=True,
    default=("float32", "float16", "Q8_0", "Q4_1"),
    show_default=True,
    help="At which width llama.cpp is timed; may be repeated, and each takes memory of its own.",
)
@click.option("--json", "out", type=click.Path(path_type=Path), required=True, help="Where the rows go.")
def decode(out: Path, sparsity: tuple[float, ...], **options: object) -> None:
    """Time decoding at batch 1: tokens per second, ratio to dense, ceiling, memory.

    NUMBA_NUM_THREADS sets the number of threads of every engine on the CPU.
    """
    from clada_neuro.artifacts import output_folder, write_json
    from clada_neuro.bench.decode_speed import bench_decode

    output_folder(out.parent)
    table = bench_decode(sparsities=sparsity, progress=lambda line: click.echo(line, err=True), **options)  # type: ignore[arg-type]
    write_json(out, table.to_dict("records"))
    shown = [
        *("engine", "policy", "dtype", "ffn_sparsity", "linear_sparsity"),
        *("tokens_per_s", "ratio_vs_dense", "ceiling", "stream_share"),
    ]
    shown = [name for name in shown if name in table]
    click.echo(table[shown].to_string(index=False, float_format="{:.2f}".format))


@command.command()
@model_options
@click.option("--stimuli", help="Data set or stimulus file [default: the N400 stimuli of the demonstration].")
@click.option("--sentences", type=click.IntRange(min=1), default=200, show_default=True)
@click.option(
    "--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="Interleaved rounds."
)
@click.option(
    "--peer-python", type=click.Path(path_type=Path), help="Interpreter that has minicons and surprisal."
)
@click.option("--json", "out", type=click.Path(path_type=Path), required=True, help="Where the rows go.")
def trace(out: Path, **options: object) -> None:
    """Time a whole trace beside packages that give surprisal alone."""
    from clada_neuro.artifacts import output_folder, write_json
    from clada_neuro.bench.trace_speed import bench_trace

    output_folder(out.parent)
    table = bench_trace(progress=lambda line: click.echo(line, err=True), **options)  # type: ignore[arg-type]
    write_json(out, table.to_dict("records"))
    click.echo(table.to_string(index=False))


@command.command()
@click.option(
    "--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="Interleaved rounds."
)
@click.option(
    "--trials",
    type=click.Path(path_type=Path),
    help="trials.parquet of a run of nieuwland2018 [default: traced].",
)
@click.option("--json", "out", type=click.Path(path_type=Path), required=True, help="Where the rows go.")
def fit(out: Path, rounds: int, trials: Path | None) -> None:
    """Time mixed models of 25,322 noun N400s, beside lme4 where Rscript is there."""
    from clada_neuro.artifacts import output_folder, write_json
    from clada_neuro.bench.fit_speed import bench_fit

    output_folder(out.parent)
    table = bench_fit(rounds, trials, progress=lambda line: click.echo(line, err=True))
    write_json(out, table.to_dict("records"))
    click.echo(table.drop(columns="formula").to_string(index=False, float_format="{:.2f}".format))
