"""``clada-neuro run``: from stimuli and responses to a report, in one command."""

from pathlib import Path

import click

from clada_neuro.cli.options import (
    epochs_options,
    fitting_options,
    language_option,
    layers_options,
    loading_options,
    matching_options,
    negative_option,
    recording_options,
    scale_options,
    stimulus_file_options,
    trial_file_options,
    where_option,
)
from clada_neuro.cli.policy_options import policy_options, scope_option


@click.command()
@click.argument("target")
@click.option(
    "--model",
    multiple=True,
    help="Model name, checkpoint folder or GGUF file; may be repeated [default: the analysis's own, else smollm2].",
)
@policy_options
@scope_option
@click.option("--out", type=click.Path(path_type=Path), help="Output folder [default: out/TARGET].")
@click.option(
    "--trials", type=click.Path(path_type=Path), help="Trials of a stimulus file (CSV, TSV, xlsx, parquet)."
)
@click.option(
    "--epochs", type=click.Path(path_type=Path), help="MNE epochs of a stimulus file (FIF file or folder)."
)
@click.option(
    "--eeg",
    is_flag=False,
    flag_value="simulated",
    metavar="[PATH]",
    help="EEG of a stimulus file, continuous or epoched: FIF, BrainVision, EEGLAB, EDF, BDF, a folder of them, or a BIDS folder; "
    "with demo and no path simulated readers.",
)
@recording_options
@epochs_options
@scale_options
@language_option
@layers_options
@stimulus_file_options
@trial_file_options
@matching_options
@click.option("--analysis", type=click.Path(path_type=Path), help="A pre-specified analysis (TOML).")
@click.option("--component", metavar="NAME", help="Only the models of one component, such as n400 or p600.")
@click.option(
    "--response",
    multiple=True,
    metavar="NAME",
    help="What is explained, such as rt_ms or 'log(rt_ms)'; may be repeated [default: n400_uv and p600_uv, else all "
    "columns known as responses].",
)
@click.option(
    "--formula", multiple=True, help="A model in place of an analysis, 'log(rt_ms) ~ …'; may be repeated."
)
@fitting_options
@where_option
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N items, to try things out.")
@loading_options
@click.option(
    "--full",
    is_flag=True,
    help="1,000 bootstrap replicates of the interaction, not 200; also over people and items; intervals of R².",
)
@click.option("--influence", is_flag=True, help="Also fit without each subject, item and laboratory.")
@click.option(
    "--maps", is_flag=True, help="Also mixed models at every electrode and moment of the EEG: minutes."
)
@click.option(
    "--depth",
    is_flag=True,
    help="Also each layer's measures in place of surprisal, all layers tested together: minutes. Layers as in --layers [default: all].",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes for these [default: every core].")
@negative_option
@click.option("--seed", default=0, show_default=True, help="Seed of everything random.")
def command(target: str, **options: object) -> None:
    """Run the main job on TARGET: demo, a data set (see `clada-neuro data list`) or a stimulus file.

    Writes tokens, layers, words and trials (parquet), fits.json, synergy.json, manifest.json and report.html.
    Interrupt it at any time; the same command continues from what was finished.
    """
    from clada_neuro.study.run import run

    report = run(target, **options, progress=lambda line: click.echo(line, err=True))  # type: ignore[arg-type]
    click.echo(f"report: {report}")
