"""Print lines, columns and CSV, with control characters escaped on a terminal."""

from __future__ import annotations

import sys
from typing import Any

import click

from jobs.diagnostics.progress import printable


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
