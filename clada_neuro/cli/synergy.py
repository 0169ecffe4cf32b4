"""``clada-neuro synergy``: the three analyses of what load, activity and human responses have to do with each other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


@click.group()
def command() -> None:
    """Run one of the synergy analyses; each writes a page, a figure and small tables."""


def _say(line: str) -> None:
    click.echo(line, err=True)


def _common(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --model, --out and --seed."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            click.option("--seed", default=0, show_default=True, help="Seed of everything random."),
            click.option(
                "--out", type=click.Path(path_type=Path), default=Path("out") / f"synergy_{name}", show_default=True,
                help="Output folder.",
            ),
            click.option("--model", default="smollm2", show_default=True, help="Model name, folder or GGUF file."),
        ):  # fmt: skip
            function = option(function)
        return function

    return add


_CORPUS = click.option(
    "--corpus",
    type=click.Choice(["xsum", "c4_sample"]),
    default="xsum",
    show_default=True,
    help="Natural text.",
)


@command.command()
@_common("prefix")
@_CORPUS
@click.option(
    "--pairs", type=click.IntRange(min=16), default=400, show_default=True, help="Pairs of each kind."
)
@click.option(
    "--position", type=click.IntRange(min=2), default=64, show_default=True, help="Compared token, from 0."
)
@click.option(
    "--distance",
    "distances",
    type=click.IntRange(min=1),
    multiple=True,
    default=(1, 4, 16),
    show_default=True,
    help="Differing tokens before it; may be repeated.",
)
@click.option(
    "--bootstrap", type=click.IntRange(min=0), default=1000, show_default=True, help="Replicates over pairs."
)
def prefix(out: Path, model: str, **options: Any) -> None:
    """Similarity of activity by length of a shared stretch: natural text and random tokens."""
    from clada_neuro.synergies.prefix import Settings
    from clada_neuro.synergies.prefix import prefix as analyze

    click.echo(f"page: {analyze(out, model=model, settings=Settings(**options), progress=_say)}")


@command.command()
@_common("adaptation")
@_CORPUS
@click.option(
    "--sequences", type=click.IntRange(min=4), default=300, show_default=True, help="Sequences of each kind."
)
@click.option(
    "--scored",
    type=click.IntRange(min=16),
    default=128,
    show_default=True,
    help="Scored tokens of a sequence.",
)
@click.option(
    "--bootstrap",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Replicates over sequences.",
)
def adaptation(out: Path, model: str, **options: Any) -> None:
    """Adjustment of activity by surprisal and entropy: natural text, random tokens, shuffled signals."""
    from clada_neuro.synergies.adaptation import Settings
    from clada_neuro.synergies.adaptation import adaptation as analyze

    click.echo(f"page: {analyze(out, model=model, settings=Settings(**options), progress=_say)}")


@command.command()
@_common("human")
@click.option("--question", "questions", multiple=True, help="One response; may be repeated [default: all].")
@click.option("--limit", type=click.IntRange(min=4), help="Only the first N items, to try things out.")
@click.option("--folds", type=click.IntRange(min=2), default=10, show_default=True, help="Folds of items.")
@click.option(
    "--bootstrap",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Replicates for the product's R².",
)
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Bootstrap processes.")
def human(
    out: Path,
    model: str,
    seed: int,
    questions: tuple[str, ...],
    limit: int | None,
    folds: int,
    bootstrap: int,
    jobs: int,
) -> None:
    """Human N400 and P600: controls, surprisal, activity, their product; dense traces."""
    from clada_neuro.synergies.human import Settings
    from clada_neuro.synergies.human import human as analyze
    from clada_neuro.synergies.questions import QUESTIONS

    settings = Settings(limit, folds, bootstrap, seed, jobs)
    page = analyze(
        out, questions=questions or tuple(QUESTIONS), model=model, settings=settings, progress=_say
    )
    click.echo(f"page: {page}")
