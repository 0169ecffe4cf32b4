"""``clada-neuro calibrate``: calibrate a model for CLADA and the baselines."""

from pathlib import Path

import click


def _refuse_scheduler(_: click.Context, __: click.Parameter, given: str | None) -> None:
    if given is not None:
        raise click.BadParameter(
            "a calibration goes layer by layer, each on what the sparse layers before it hand on, and cannot be shared "
            "out; give it one machine, or calibrate several models at once"
        )


@click.command()
@click.option(
    "--model", default="smollm2", show_default=True, help="Model name, checkpoint folder or GGUF file."
)
@click.option(
    "--text",
    "texts",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Text to calibrate on: .txt, or .jsonl with one document a line under 'text'. May be repeated.",
)
@click.option("--bound", default=0.10, show_default=True, help="Limit of the rise of loss, nats per token.")
@click.option("--confidence", default=0.95, show_default=True, help="Of the one-sided bound over documents.")
@click.option("--min-sparsity", default=0.40, show_default=True, help="Least share of weight bytes not read.")
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
@click.option("--scheduler", hidden=True, expose_value=False, callback=_refuse_scheduler)
def command(
    model: str,
    texts: tuple[Path, ...],
    bound: float,
    confidence: float,
    min_sparsity: float,
    tokens: int,
    allocation: str,
    seed: int,
    out: Path,
) -> None:
    """Set thresholds and compensation from text, choose what load and prefix do, and certify the loss.

    Interrupted, the same command goes on where it stopped.
    """
    from clada_neuro.artifacts import output_folder, sole_writer
    from clada_neuro.calibration.search import calibrate
    from clada_neuro.calibration.texts import read_documents
    from clada_neuro.models.loading import load_model

    documents = [document for path in texts for document in read_documents(path)]
    output_folder(out.parent)
    with sole_writer(out):
        calibration = calibrate(
            load_model(model),
            documents,
            out,
            bound=bound,
            confidence=confidence,
            min_sparsity=min_sparsity,
            tokens=tokens,
            allocation=allocation,
            seed=seed,
        )
    certificate = calibration.header["certificate"]
    for row in certificate["frontier"]:
        click.echo(
            f"ffn_sparsity {row['ffn_sparsity']:.3f}: loss +{row['loss_nats']:.4f} nats per token, "
            f"upper bound {row['upper_bound_nats']:.4f} ({confidence:.0%}, {certificate['documents']} documents)"
        )
    if certificate["ffn_sparsity"] is None:
        click.echo(f"the bound cannot be held: {certificate['reason']}")
    click.echo(f"written to {out}")
