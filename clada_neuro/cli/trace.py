"""``clada-neuro trace``: surprisal, entropy and activity of every token and word of a stimulus file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clada_neuro.cli.options import (
    READING,
    language_option,
    model_options,
    policy_options,
    scale_options,
    stimulus_file_options,
)

if TYPE_CHECKING:
    import pandas as pd


@click.command()
@click.argument("stimuli")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Output folder.")
@model_options
@policy_options
@language_option
@click.option(
    "--top-k",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Also record the N most probable tokens before each token (top_k.parquet).",
)
@scale_options
@stimulus_file_options
def command(
    stimuli: str,
    out: Path,
    language: str | None,
    scheduler: str | None,
    **setting: Any,
) -> None:
    """Measure every token and word of STIMULI: a file (CSV, TSV, xlsx, marked text), a data set or demo.

    Writes tokens, layers and words (parquet), conditions.csv (means by condition) and manifest.json. A dense trace measures neuron_sparsity at the
    thresholds that the calibration has for --sparsity. Interrupt it at any time; the same command continues
    from the last finished part.
    """
    from clada_neuro.scale.setting import Setting
    from clada_neuro.study.target import language_of, resolve_stimuli

    table = resolve_stimuli(stimuli, **{name: setting.pop(name) for name in READING})
    notes = table.attrs.get("notes", [])
    for note in notes:
        click.echo(f"note: {note}", err=True)
    setting["language"] = language or language_of(stimuli)
    from clada_neuro.scale.trace import trace_by  # loads PyTorch, which wrong input need not wait for
    from clada_neuro.stats.conditions import at_critical_words

    traced = trace_by(Setting(**setting), table, out, scheduler)
    for note in traced.manifest["text_notes"][len(notes) :]:
        click.echo(f"note: {note}", err=True)
    if reason := traced.manifest.get("activity"):
        click.echo(f"note: activity is not measured, predictions are: {reason}", err=True)
    click.echo(f"{traced} in {out}")
    _print_means(at_critical_words(traced.words, table), out)


def _print_means(means: "pd.DataFrame", out: Path) -> None:
    """Print and write the measures by condition, where there are conditions."""
    from clada_neuro.reporting.tables import write_csv
    from clada_neuro.stats.conditions import HOW

    if means.empty:
        return
    write_csv(means, out / "conditions.csv")
    click.echo(f"critical words by condition ({HOW}):")
    click.echo(means.to_string(index=False, float_format="{:.3f}".format))
