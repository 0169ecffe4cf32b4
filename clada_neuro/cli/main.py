"""The ``clada-neuro`` command: its groups, and how errors become one line and an exit code."""

import importlib
import io
import os
import sys
import warnings
from typing import Any

import click

from clada_neuro.errors import CladaNeuroError, did_you_mean

# name: module that defines a click command or group called `command`; imported only when used.
_COMMANDS = {
    "run": "clada_neuro.cli.run",
    "check": "clada_neuro.cli.check",
    "trace": "clada_neuro.cli.trace",
    "align": "clada_neuro.cli.align",
    "fit": "clada_neuro.cli.fit",
    "averages": "clada_neuro.cli.averages",
    "overlap": "clada_neuro.cli.overlap",
    "maps": "clada_neuro.cli.maps",
    "depth": "clada_neuro.cli.depth",
    "encode": "clada_neuro.cli.encode",
    "predictability": "clada_neuro.cli.predictability",
    "report": "clada_neuro.cli.report",
    "synergy": "clada_neuro.cli.synergy",
    "bench": "clada_neuro.cli.bench",
    "calibrate": "clada_neuro.cli.calibrate",
    "evaluate": "clada_neuro.cli.evaluate",
    "generate": "clada_neuro.cli.generate",
    "data": "clada_neuro.cli.data",
    "app": "clada_neuro.cli.app",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        return importlib.import_module(_COMMANDS[name]).command

    def resolve_command(self, ctx: click.Context, args: list[str]):  # type: ignore[override]
        if args and args[0] not in _COMMANDS:
            known = ", ".join(_COMMANDS)
            raise CladaNeuroError(
                f"no command '{args[0]}'{did_you_mean(args[0], list(_COMMANDS))}; there are {known}"
            )
        return super().resolve_command(ctx, args)


@click.group(
    cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="clada-neuro")
def cli() -> None:
    """Link N400 and P600 responses to surprisal, entropy and activation sparsity of language models."""


def main() -> None:
    """Run the command line: exit code 0 done, 2 wrong input (one line on stderr), 1 a defect."""
    # Read when torch is loaded: threads that spin while they wait slow everything on a shared machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    warnings.formatwarning = _note
    for stream in (sys.stdout, sys.stderr):
        # A pipe may know fewer characters than a text holds: the others are written as \uXXXX.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(prog_name="clada-neuro", standalone_mode=False)
    except CladaNeuroError as error:
        _stop(str(error))
    except click.ClickException as error:
        _stop(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        _stop("interrupted; what was finished is kept, and the same command continues from there")
    sys.exit(code if isinstance(code, int) else 0)


def _note(message: Any, *where: Any, **line: Any) -> str:
    """Return a warning without the place in the code that raised it."""
    return f"clada-neuro: note: {' '.join(str(message).split())}\n"


def _stop(message: str) -> None:
    # One line, whatever a file name or a cell brought in; not every byte of a name is text.
    line = " ".join(message.split()).encode("utf-8", "backslashreplace").decode()
    click.echo(f"clada-neuro: {line}", err=True)
    sys.exit(2)
