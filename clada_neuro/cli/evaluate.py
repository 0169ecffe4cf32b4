"""``clada-neuro evaluate``: zero-shot benchmarks under policies."""

from pathlib import Path

import click

_COMPARED = ("dense", "clada", "no-load", "random-load", "griffin", "cats", "teal", "wina")


@click.command()
@click.option(
    "--task",
    "tasks",
    multiple=True,
    help="Task name; may be repeated; an unknown one lists all [default: all nine].",
)
@click.option(
    "--policy",
    "policies",
    multiple=True,
    default=_COMPARED,
    show_default=True,
    help="Policy name; may be repeated.",
)
@click.option(
    "--sparsity",
    "sparsities",
    type=click.FloatRange(0, 1),
    multiple=True,
    default=(0.4,),
    show_default=True,
    help="Share of feed-forward weight bytes not read; may be repeated.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="Items of each task, drawn with --seed; a larger limit adds to a smaller one's [default: all].",
)
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--start",
    "starts",
    type=click.Choice(["answer", "middle"]),
    multiple=True,
    default=("answer",),
    show_default=True,
    help="Where the policy sets in: at the context's last token or in its middle; may be repeated.",
)
@click.option(
    "--model", default="smollm2", show_default=True, help="Model name, checkpoint folder or GGUF file."
)
@click.option(
    "--calibration", type=click.Path(path_type=Path), help="Calibration file [default: the shipped one]."
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
@click.option("--json", "out", type=click.Path(path_type=Path), required=True, help="Where the rows go.")
def command(
    tasks: tuple[str, ...],
    policies: tuple[str, ...],
    sparsities: tuple[float, ...],
    limit: int | None,
    seed: int,
    starts: tuple[str, ...],
    model: str,
    calibration: Path | None,
    start_token: str,
    dtype: str,
    device: str,
    out: Path,
) -> None:
    """Score zero-shot tasks under policies, on the same items, with paired differences from dense and CLADA.

    The context is read densely; its last token (or second half) and the answers are processed under the policy. Beside
    the rows (JSON) stand .csv, .md and .items.parquet. Interrupt it at any time; the same command continues.
    """
    import pandas as pd

    from clada_neuro.artifacts import output_folder, write_json, write_table, write_text
    from clada_neuro.evaluation.evaluate import evaluate
    from clada_neuro.evaluation.summary import long_rows, summarise
    from clada_neuro.evaluation.tables import markdown
    from clada_neuro.evaluation.tasks import TASKS
    from clada_neuro.models.loading import load_model

    output_folder(out.parent)
    language_model = load_model(model, dtype=dtype, device=device, start_token=start_token)
    items = pd.concat(
        [
            evaluate(
                language_model,
                tasks or tuple(TASKS),
                policies,
                sparsities=sparsities,
                limit=limit,
                seed=seed,
                start=start,
                calibration=calibration,
            )
            for start in starts
        ],
        ignore_index=True,
    )
    summary = summarise(items)
    write_table(items, out.with_suffix(".items.parquet"), {"seed": seed, **language_model.describe()})
    write_text(out.with_suffix(".csv"), summary.to_csv(index=False))
    write_text(out.with_suffix(".md"), markdown(summary))
    write_json(out, long_rows(summary))
    click.echo(markdown(summary), nl=False)
