"""The examples that --help shows are commands, arguments and options that there are."""

from __future__ import annotations

import shlex

import click
import pytest

from jobs.cli import cli

EXAMPLES = [
    line.strip()
    for text in (cli.help, *(command.epilog for command in cli.commands.values()))
    for line in (text or "").splitlines()
    if line.strip().startswith("featurelib ")
]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 5


@pytest.mark.parametrize("line", EXAMPLES)
def test_the_example_can_be_parsed(line: str) -> None:
    program, *arguments = shlex.split(line)
    assert program == "featurelib"
    with click.Context(cli, info_name=program) as context:
        name, command, rest = cli.resolve_command(context, arguments)
        assert command is not None
        command.make_context(name, rest, parent=context)  # raises where it does not fit
