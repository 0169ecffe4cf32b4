"""``clada-neuro evaluate``: zero-shot benchmarks under policies."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clada_neuro.cli.options import model_options, scale_options
from clada_neuro.cli.policy_options import scope_option

if TYPE_CHECKING:
    import pandas as pd


@click.command()
@click.option(
    "--task",
    "tasks",
    multiple=True,
    help="Task name; may be repeated; an unknown one lists all [default: all].",
)
@click.option(
    "--policy",
    "policies",
    multiple=True,
    help="Policy name; may be repeated; an unknown one lists all [default: dense, clada, its controls and baselines].",
)
@click.option(
    "--sparsity",
    "sparsities",
    type=click.FloatRange(0, 1),
    multiple=True,
    default=(0.4,),
    show_default=True,
    help="Share of the scope's weight bytes not read; may be repeated.",
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
@model_options
@click.option(
    "--calibration", type=click.Path(path_type=Path), help="Calibration file [default: the shipped one]."
)
@scope_option
@scale_options
@click.option("--json", "out", type=click.Path(path_type=Path), required=True, help="Where the rows go.")
def command(
    tasks: tuple[str, ...],
    policies: tuple[str, ...],
    sparsities: tuple[float, ...],
    limit: int | None,
    seed: int,
    starts: tuple[str, ...],
    calibration: Path | None,
    scope: str,
    scheduler: str | None,
    out: Path,
    **setting: Any,
) -> None:
    """Score zero-shot tasks under policies, on the same items, with paired differences from dense and CLADA.

    The context is read densely; its last token (or second half) and the answers are processed under the policy. Beside
    the rows (JSON) stand .csv, .md and .items.parquet. Interrupt it at any time; the same command continues.
    """
    from clada_neuro.artifacts import output_folder
    from clada_neuro.evaluation.evaluate import Unanswered, evaluate
    from clada_neuro.evaluation.tasks import TASKS
    from clada_neuro.policies.registry import COMPARED
    from clada_neuro.scale.processes import places
    from clada_neuro.scale.setting import Setting

    output_folder(out.parent)
    by = Setting(**setting)
    language_model = by.load()
    about = {"seed": seed, **language_model.describe()}
    with places(by, language_model, scheduler) as where:
        try:
            items = evaluate(
                language_model,
                tasks or tuple(TASKS),
                policies or COMPARED,
                sparsities=sparsities,
                limit=limit,
                seed=seed,
                starts=starts,
                calibration=calibration,
                scope=scope,
                places=where,
            )
        except Unanswered as error:
            if len(error.items):
                _write(error.items, out, about)
            raise
    _write(items, out, about)


def _write(items: "pd.DataFrame", out: Path, about: dict[str, Any]) -> None:
    """Write rows and tables beside each other, and show the latter."""
    from clada_neuro.artifacts import write_json, write_table, write_text
    from clada_neuro.evaluation.score_table import markdown
    from clada_neuro.evaluation.summary import long_rows, summarise

    summary = summarise(items)
    write_table(items, out.with_suffix(".items.parquet"), about)
    write_text(out.with_suffix(".csv"), summary.to_csv(index=False))
    write_text(out.with_suffix(".md"), markdown(summary))
    write_json(out, long_rows(summary))
    click.echo(markdown(summary), nl=False)
