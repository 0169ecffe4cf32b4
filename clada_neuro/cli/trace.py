"""``clada-neuro trace``: surprisal, entropy and activity of every token and word of a stimulus file."""

from pathlib import Path
from typing import Any

import click

from clada_neuro.cli.options import policy_options, stimulus_file_options


@click.command()
@click.argument("stimuli")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Output folder.")
@click.option(
    "--model", default="smollm2", show_default=True, help="Model name, checkpoint folder or GGUF file."
)
@policy_options
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
@stimulus_file_options
def command(
    stimuli: str,
    out: Path,
    model: str,
    policy: str,
    sparsity: float,
    calibration: Path | None,
    start_token: str,
    dtype: str,
    device: str,
    language: str,
    **reading: Any,
) -> None:
    """Measure every token and word of STIMULI: a file (CSV, TSV, xlsx, marked text), a data set or demo.

    Writes tokens, layers and words (parquet) and manifest.json. Interrupt it at any time; the same command continues
    from the last finished part.
    """
    from clada_neuro.calibration.policies import policy_for
    from clada_neuro.instrument.trace import trace
    from clada_neuro.models.loading import load_model
    from clada_neuro.targets import resolve_stimuli

    table = resolve_stimuli(stimuli, **reading)
    language_model = load_model(model, dtype=dtype, device=device, start_token=start_token)
    chosen = None if policy == "dense" else policy_for(language_model, policy, sparsity, calibration)
    click.echo(f"{trace(table, language_model, policy=chosen, out=out, language=language)} in {out}")
