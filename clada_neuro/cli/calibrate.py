"""``clada-neuro calibrate``: calibrate a model for CLADA and the baselines."""

from pathlib import Path
from typing import Any

import click

from clada_neuro.cli.options import model_options, scale_options
from clada_neuro.cli.policy_options import scope_option


@click.command()
@model_options
@click.option(
    "--text",
    "texts",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Text to calibrate on: .txt, one document a file, or .jsonl with one a line under 'text'. May be repeated.",
)
@click.option("--bound", default=0.10, show_default=True, help="Limit of the rise of loss, nats per token.")
@click.option("--confidence", default=0.95, show_default=True, help="Of the one-sided bound over documents.")
@click.option("--min-sparsity", default=0.40, show_default=True, help="Least share of weight bytes not read.")
@scope_option
@click.option("--tokens", default=65_536, show_default=True, help="Read at most so many.")
@click.option(
    "--allocation",
    type=click.Choice(["loss", "equal-error"]),
    default="loss",
    show_default=True,
    help="Share the budget over layers and sites by equal marginal loss per byte, or by equal relative error.",
)
@click.option("--seed", default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write (.safetensors).")
@scale_options
def command(
    texts: tuple[Path, ...],
    bound: float,
    confidence: float,
    min_sparsity: float,
    scope: str,
    tokens: int,
    allocation: str,
    seed: int,
    out: Path,
    scheduler: str | None,
    **setting: Any,
) -> None:
    """Set thresholds and compensation from text, choose what load and prefix do, and certify the loss.

    Interrupted, the same command goes on where it stopped. Workers of a scheduler take the loss checks, which are most
    of the work.
    """
    from clada_neuro.artifacts import output_folder, sole_writer
    from clada_neuro.calibration.stage import CalibrateStage
    from clada_neuro.calibration.texts import read_documents
    from clada_neuro.scale.processes import places
    from clada_neuro.scale.setting import Setting

    documents = [document for path in texts for document in read_documents(path)]
    output_folder(out.parent)
    by = Setting(**setting)
    with sole_writer(out):  # the stage takes it, too, but loading a model takes its time
        model = by.load()
        with places(by, model, scheduler) as where:
            calibration = CalibrateStage(
                model,
                documents,
                out.name,
                bound,
                confidence,
                min_sparsity,
                tokens,
                allocation,
                seed,
                where,
                scope,
            ).into(out.parent)
    certificate = calibration.header["certificate"]
    share = calibration.share
    for row in certificate["frontier"]:
        click.echo(
            f"{share} {row[share]:.3f}: loss +{row['loss_nats']:.4f} nats per token, "
            f"upper bound {row['upper_bound_nats']:.4f} ({confidence:.0%}, {certificate['documents']} documents)"
        )
    if certificate[share] is None:
        click.echo(f"the bound cannot be held: {certificate['reason']}")
    click.echo(f"written to {out}")
