"""``clada-neuro synergy``: the three analyses of what load, activity and human responses have to do with each other."""

from collections.abc import Callable
from dataclasses import Field, fields
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from clada_neuro.cli.options import model_options
from clada_neuro.questions.settings import AdaptationSettings, HumanSettings, PrefixSettings


@click.group()
def command() -> None:
    """Run one of the synergy analyses; each writes a page, a figure and small tables."""


def _option(setting: Field) -> Callable[..., Any]:
    """Turn a setting into an option; one that holds several values may be repeated."""
    described, default = setting.metadata, setting.default
    many = isinstance(default, tuple)
    numeric = described["least"] is not None or isinstance(default, int)
    kind: Any = (
        click.IntRange(min=described["least"]) if numeric else float if isinstance(default, float) else str
    )
    return click.option(
        f"--{setting.name.removesuffix('s') if many else setting.name}",
        setting.name,
        type=click.Choice(described["choices"]) if described["choices"] else kind,
        multiple=many,
        default=default,
        show_default=default not in (None, ()),
        help=described["help"],
    )


def _add(name: str, settings: Callable[..., Any], text: str) -> None:
    """Add the command of one analysis, with its settings as options."""

    def run_analysis(out: Path, work: Path | None, model: str, **options: Any) -> None:
        loading = {name: options.pop(name) for name in ("revision", "start_token", "dtype", "device")}
        chosen = settings(**options)  # refuses nonsense before a model is loaded
        from clada_neuro.questions.analysis import run

        analysis = getattr(import_module(f"clada_neuro.questions.{name}"), name)
        page = run(
            analysis,
            chosen,
            out,
            model=model,
            loading=loading,
            work=work,
            progress=lambda line: click.echo(line, err=True),
        )
        click.echo(f"page: {page}")

    folder = click.Path(path_type=Path)
    options = [
        model_options,
        *map(_option, fields(settings)),  # type: ignore[arg-type]
        click.option("--out", type=folder, default=Path("out") / f"synergy_{name}", show_default=True, help="Output folder."),
        click.option("--work", type=folder, help="Where finished parts are kept [default: OUT/work]."),
    ]  # fmt: skip
    function: Callable[..., Any] = run_analysis
    for add in reversed(options):
        function = add(function)
    command.command(name, help=text)(function)


_add(
    "prefix",
    PrefixSettings,
    "Similarity of activity by length of a shared stretch: natural text and random tokens.",
)
_add(
    "adaptation",
    AdaptationSettings,
    "Adjustment of activity by surprisal and entropy: natural text, random tokens, shuffled signals.",
)
_add(
    "human",
    HumanSettings,
    "Human N400 and P600: controls, surprisal, activity, their product; CLADA and its controls beside.",
)
