"""``clada-neuro data``: list, fetch and locate external data sets."""

import click


@click.group("data")
def command() -> None:
    """List external data sets, fetch them with a checksum, or print where they are."""


@command.command("list")
def list_() -> None:
    """List the sets with licence and citation, and whether their files are on this machine."""
    from clada_neuro.errors import DataError
    from clada_neuro.stimuli import datasets
    from clada_neuro.stimuli.registry import registry

    def state(name: str) -> str:
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
    for name, source in sources.items():
        if all(entry.source.name != name for entry in sets.values()):
            click.echo(
                f"{name:<24} {state(name):<8} {source.kind}\n{'':<33} {source.citation} [{source.licence}]"
            )


@command.command()
@click.argument("names", nargs=-1, required=True)
def fetch(names: tuple[str, ...]) -> None:
    """Download NAMES from their public origin into the cache, verify them and print their folders."""
    from clada_neuro.stimuli import datasets

    for name in names:
        click.echo(datasets.fetch(name, progress=True))


@command.command()
@click.argument("name")
def path(name: str) -> None:
    """Print the folder of NAME's verified files."""
    from clada_neuro.stimuli import datasets

    click.echo(datasets.path(name))
