"""The commands that read a table: status, runs, errors."""

from __future__ import annotations

import json
from typing import Any

import click

from jobs.cli.group import cli
from jobs.cli.options import common_options, options_of, settings_of, storage_option
from jobs.cli.output import print_csv, print_lines, print_rows


@cli.command(short_help="Show the contents and runs of a table, and what is new.")
@click.argument("table")
@storage_option
@common_options
def status(table: str, storage_options: tuple[str, ...], as_json: bool, debug: bool) -> int:
    """Show the contents of TABLE, its runs, and what another run would do."""
    from jobs.status import table_status

    settings, _ = settings_of(None, {"storage_options": storage_options})
    result = table_status(table, settings.options_for("table"), settings.options_for("corpus"))
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=1, default=str))
    else:
        print_lines(result.lines())
    return 0


@cli.command(short_help="List the runs of a table: when, how long, what they did.")
@click.argument("table")
@click.option("--last", metavar="N", type=click.IntRange(min=1), help="List only the last N runs.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@storage_option
@common_options
def runs(
    table: str,
    last: int | None,
    as_csv: bool,
    storage_options: tuple[str, ...],
    as_json: bool,
    debug: bool,
) -> int:
    """List the runs of TABLE, the newest last.

    Each line has the start, the duration, how the run ended and its exit code; the numbers of
    files that were new, changed, tried again, deleted and failed; hours of audio, files per
    second, and seconds of audio per second of extraction; and who ran it where. A run that found
    another one writing (exit code 75) is not recorded.
    """
    from jobs.runs import NAMES, history_lines, table_runs

    history = table_runs(table, options_of(storage_options), last)
    found = [run.to_dict() for run in history]
    if as_json:
        click.echo(json.dumps(found, indent=1))
    elif as_csv:
        print_csv(list(NAMES), found)
    else:
        print_lines(history_lines(history))
    return 0


@cli.command(short_help="List the files that have no features, and why.")
@click.argument("table")
@click.option("--partial", is_flag=True, help="List files that were decoded only in part.")
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
    """List the files in TABLE that have no features, and why.

    With --partial, list the files whose features do not cover all of their audio: damaged
    (something in the middle was skipped) or cut (the end is missing).
    """
    from jobs.status import error_rows, partial_rows

    rows = (partial_rows if partial else error_rows)(table, options_of(storage_options))
    if as_json:
        click.echo(json.dumps(rows.to_pylist(), indent=1, default=str))
    elif as_csv:
        print_csv(rows.column_names, rows.to_pylist())
    elif not len(rows):
        click.echo("No file was decoded only in part" if partial else "No errors")
    elif partial:
        print_rows([_partial_cells(row) for row in rows.to_pylist()])
    else:
        print_rows([[r["path"], r["error_kind"], r["message"]] for r in rows.to_pylist()])
    return 0


def _partial_cells(row: dict[str, Any]) -> list[str]:
    lost = "unknown" if row["lost_s"] is None else f"{row['lost_s']:.3f} s"
    return [row["path"], row["decoding"], f"{row['duration_s']:.3f} s decoded", f"{lost} lost"]
