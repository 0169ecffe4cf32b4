"""``clada-neuro app``: the word-by-word plot, CSV and report in a browser, on this computer alone."""

from pathlib import Path

import click


@click.command("app")
@click.argument("notebook", required=False, type=click.Path(path_type=Path))
@click.option(
    "--model",
    multiple=True,
    help="Model name, checkpoint folder or GGUF file that the page offers; may be repeated [default: smollm2].",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8866,
    show_default=True,
    help="Where it listens; 0 for any free port.",
)
@click.option(
    "--browser/--no-browser", default=True, help="Open the page, or only print its address [default: open]."
)
def command(notebook: Path | None, model: tuple[str, ...], port: int, browser: bool) -> None:
    """Show a page in the browser: paste sentences or drop a table, see each word's measures, take CSV and report away.

    It listens on 127.0.0.1 alone, takes files of at most 5 MB, sends nothing to other computers and runs no code of its users.
    With NOTEBOOK (.ipynb), that notebook is shown as a page instead: it is run, its controls work, its code is hidden.
    Interrupt it to end.
    """
    from clada_neuro.errors import DataError

    if notebook is not None and not (notebook.is_file() and notebook.suffix == ".ipynb"):
        raise DataError(f"'{notebook}' given, a notebook (.ipynb) expected")
    try:
        from clada_neuro.app.serve import PAGE, serve
    except ModuleNotFoundError as error:
        raise DataError(
            f"the page needs {str(error.name).split('.')[0]}, which is not installed: pip install 'clada-neuro[app]'"
        ) from None
    from clada_neuro.models.origin import EMBEDDED

    models = [_here(name) for name in model or (EMBEDDED,)]
    serve(
        models,
        port=port,
        browser=browser,
        notebook=notebook or PAGE,
        told=lambda address: click.echo(f"the page: {address}\ninterrupt (Ctrl-C) to end"),
    )


def _here(name: str) -> str:
    """Return a model's name after what is not here yet was fetched (the page itself asks no hub); of a path, the whole one."""
    from clada_neuro.models.origin import EMBEDDED

    if (path := Path(name).expanduser()).exists():
        return str(path.resolve())
    if name != EMBEDDED:
        from clada_neuro.models.loading import locate  # loads PyTorch

        locate(name)
    return name
