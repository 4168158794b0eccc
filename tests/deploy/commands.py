"""The commands of deploy/, read by the programs' own command lines."""

from __future__ import annotations

from typing import Any

import click
from distributed.cli.dask_scheduler import main as scheduler
from distributed.cli.dask_worker import main as worker

from jobs.cli.group import cli as featurelib

_DASK = click.Group("dask", commands={"scheduler": scheduler, "worker": worker})


def options_of(arguments: list[str], program: str = "featurelib") -> dict[str, Any]:
    """Return the options in the arguments of a program, without running it.

    Raises
    ------
    click.UsageError
        If the program does not know them.
    """
    command: click.Command = {"featurelib": featurelib, "dask": _DASK}[program]
    while isinstance(command, click.Group):
        name, *arguments = arguments
        found = command.get_command(click.Context(command), name)
        assert found is not None, name
        command = found
    return command.make_context(command.name, list(arguments)).params
