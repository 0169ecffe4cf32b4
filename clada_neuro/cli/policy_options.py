"""Options of the commands that take a policy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def scope_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--scope``, passed on under the same name."""
    return click.option(
        "--scope",
        type=click.Choice(["ffn", "all"]),
        default="ffn",
        show_default=True,
        help="What may be left out, and sparsity is a share of: feed-forward weights, or all linear weights of the layers, "
        "those of attention, too.",
    )(command)


def policy_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--policy``, ``--sparsity`` and ``--calibration``, passed on under the same names."""
    for add in (
        click.option(
            "--calibration",
            type=click.Path(path_type=Path),
            help="Calibration file [default: the shipped one].",
        ),
        click.option(
            "--sparsity", default=0.4, show_default=True, help="Share of the scope's weight bytes not read."
        ),
        click.option(
            "--policy", default="dense", show_default=True, help="Policy name; an unknown one lists all."
        ),
    ):
        command = add(command)
    return command
