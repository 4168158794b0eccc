"""Print lines, columns, CSV and messages, with control characters escaped on a terminal."""

from __future__ import annotations

import contextlib
import itertools
import sys
from typing import TYPE_CHECKING, Any

import click

from jobs.diagnostics.progress import own_stderr, printable

if TYPE_CHECKING:
    from jobs.diagnostics.run_log import JsonLog

#: The option that makes messages, and the progress of a run, lines of JSON on standard error.
LOG_FORMAT = "--log-format"


class Messages:
    """What this process tells the user on standard error.

    Attributes
    ----------
    log : JsonLog, optional
        Gets the messages; otherwise they are text.
    """

    def __init__(self) -> None:
        self.log: JsonLog | None = None

    def begin(self, arguments: list[str]) -> None:
        """Choose the form by the arguments of the command, which may be wrong otherwise."""
        self.log = None
        pairs = itertools.pairwise(arguments)
        if f"{LOG_FORMAT}=json" in arguments or (LOG_FORMAT, "json") in pairs:
            from jobs.diagnostics.run_log import JsonLog

            self.log = JsonLog(own_stderr())

    def tell(self, text: str, *, event: str = "note") -> None:
        """Print a message in one line."""
        if self.log is not None:
            self.log.add(level="warning", event=event, text=text)
        else:
            self._print(text)

    def fail(self, text: str, exit_code: int) -> None:
        """Print the error that ends this process in one line."""
        text = " ".join(text.split())
        if self.log is not None:
            self.log.add(level="error", event="failed", message=text, exit_code=exit_code)
        else:
            self._print(text)

    @staticmethod
    def _print(text: str) -> None:
        with contextlib.suppress(OSError):  # the exit code still says it
            click.echo(printable(f"featurelib: {text}"), err=True)


#: The messages of this process.
messages = Messages()


def print_lines(lines: list[str], *, err: bool = False) -> None:
    """Print lines to standard output, or to standard error if `err`."""
    for line in lines:
        click.echo(printable(line), err=err)


def print_rows(rows: list[list[str]]) -> None:
    """Print rows in columns; wrap them to the width of a terminal, but not elsewhere."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:  # rich prints an empty line for an empty grid
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 10_000)
    grid = Table.grid(padding=(0, 2))
    for row in rows:
        grid.add_row(*(Text(printable(cell), overflow="fold") for cell in row))
    with console.capture() as capture:
        console.print(grid)
    for line in capture.get().splitlines():
        click.echo(line.rstrip())


def print_csv(names: list[str], rows: list[dict[str, Any]]) -> None:
    """Print rows as CSV with a header line."""
    import csv

    def cell(value: Any) -> Any:
        # names are untrusted, so they are escaped on a terminal; a file needs them unchanged
        return printable(value) if isinstance(value, str) and sys.stdout.isatty() else value

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([cell(row[name]) for name in names] for row in rows)
