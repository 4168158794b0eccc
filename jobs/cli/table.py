"""The commands that read a table: status and errors."""

from __future__ import annotations

import json
from typing import Any

import click

from jobs.cli.group import cli
from jobs.cli.options import common_options, options_of, storage_option
from jobs.cli.output import print_csv, print_lines, print_rows


@cli.command(short_help="Show what a table holds, its runs, and what is new.")
@click.argument("table")
@storage_option
@common_options
def status(table: str, storage_options: tuple[str, ...], as_json: bool, debug: bool) -> int:
    """Show what TABLE holds, its runs, and what running it again would do."""
    from jobs.status import table_status

    found = table_status(table, options_of(storage_options))
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=1, default=str))
    else:
        print_lines(found.lines())
    return 0


@cli.command(short_help="List the files that could not be used, and why.")
@click.argument("table")
@click.option("--partial", is_flag=True, help="Those with features of a part of their audio.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@storage_option
@common_options
def errors(
    table: str,
    partial: bool,
    as_csv: bool,
    storage_options: tuple[str, ...],
    as_json: bool,
    debug: bool,
) -> int:
    """List the files in TABLE that could not be used, and why.

    With --partial, list those that have features, but not of all their audio: damaged
    (something within was skipped) or cut (the end is missing).
    """
    from jobs.status import error_rows, partial_rows

    rows = (partial_rows if partial else error_rows)(table, options_of(storage_options))
    if as_json:
        click.echo(json.dumps(rows.to_pylist(), indent=1, default=str))
    elif as_csv:
        print_csv(rows.column_names, rows.to_pylist())
    elif not len(rows):
        click.echo("All decoded as a whole" if partial else "No errors")
    elif partial:
        print_rows([_partial_cells(row) for row in rows.to_pylist()])
    else:
        print_rows([[r["path"], r["error_kind"], r["message"]] for r in rows.to_pylist()])
    return 0


def _partial_cells(row: dict[str, Any]) -> list[str]:
    lost = "unknown" if row["lost_s"] is None else f"{row['lost_s']:.3f} s"
    return [row["path"], row["decoding"], f"{row['duration_s']:.3f} s decoded", f"{lost} lost"]
