"""``clada-neuro trace``: surprisal, entropy and activity of every token and word of a stimulus file."""

from pathlib import Path

import click


@click.command()
@click.argument("stimuli", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Output folder.")
@click.option(
    "--model", default="smollm2", show_default=True, help="Model name, checkpoint folder or GGUF file."
)
@click.option("--start-token", default="auto", show_default=True, help="auto, none, an id or a token.")
@click.option(
    "--dtype",
    default="float32",
    show_default=True,
    type=click.Choice(["float32", "bfloat16", "float64"]),
    help="Precision of the weights.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--language", default="en", show_default=True, help="Language of the word frequencies.")
def command(stimuli: Path, out: Path, **options: str) -> None:
    """Measure every token and word of STIMULI (CSV, TSV, xlsx or marked text).

    Writes tokens, layers and words (parquet) and manifest.json. Interrupt it at any time; the same command continues
    from the last finished part.
    """
    from clada_neuro.instrument.trace import trace

    result = trace(stimuli, out=out, **options)  # type: ignore[arg-type]
    click.echo(f"{result} in {out}")
