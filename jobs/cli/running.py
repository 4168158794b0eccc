"""What the commands that run a job share: options, exit codes and the printed report."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import click

from jobs.cli.options import storage_option
from jobs.cli.output import LOG_FORMAT, messages, print_lines
from jobs.diagnostics.events import Observer, ignore
from jobs.diagnostics.progress import progress_for_terminal
from jobs.errors import OutputError
from jobs.settings import Settings, secrets_of

if TYPE_CHECKING:
    from jobs.diagnostics.run_report import RunReport

Command = Callable[..., Any]

#: Part of the help of a command that runs a job.
EXIT_CODES = """\b
Exit codes:
  0    done
  1    the run failed; finished work is kept for the next run
  2    usage error: an option, a settings file, a label file, or another spec
  3    nothing published: a limit (--max-failed, --max-deleted) was exceeded
  4    published, but files could not be read; run the same command again
  75   another run is writing the table, or has taken it over
  130  ended by Ctrl-C; finished work is kept for the next run
  143  ended by SIGTERM; finished work is kept for the next run
"""


def _joined(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return a decorator that adds options in their order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


#: The files of a run.
corpus_options = _joined(
    click.option(
        "--labels",
        metavar="parent|name:PATTERN|tag:NAME|FILE",
        help="Labels: each file's folder, a part of its name (name:{label}.*), a tag (tag:genre),"
        " or a CSV, TSV or Parquet file.",
    ),
    click.option(
        "--tags",
        metavar="NAMES",
        callback=lambda _context, _option, text: None if text is None else _names(text),
        help="Columns of tags: a list with commas of artist, album, title, date, genre, track.",
    ),
    click.option(
        "--include", metavar="PATTERN", multiple=True, help="Take only matching paths; repeatable."
    ),
    click.option(
        "--exclude", metavar="PATTERN", multiple=True, help="Leave out matching paths; repeatable."
    ),
    click.option("--limit", metavar="N", type=int, help="Take at most N files."),
    click.option(
        "--verify-list",
        is_flag=True,
        default=None,
        help="Look up every file of a list, even if the list has sizes and versions.",
    ),
)

#: Where a run works.
cluster_options = _joined(
    click.option(
        "--cluster",
        metavar="local|inline|ADDRESS|slurm|ssh|kubernetes|CLASS",
        help="Local worker processes (default), this process, a Dask scheduler, or a cluster that"
        " the run starts itself, with the arguments in the [cluster] table of --config.",
    ),
    click.option(
        "--workers",
        metavar="N|MIN:MAX",
        help="Number of workers (default one per core; at an address, of workers to wait for)."
        " MIN:MAX grows and shrinks with the work.",
    ),
    click.option(
        "--tls",
        metavar="DIR",
        help="Certificates of the cluster, from featurelib cluster certificates DIR.",
    ),
    click.option(
        "--worker-memory", metavar="SIZE", help="Memory limit of each worker (local, ssh)."
    ),
    storage_option,
)

#: How a run updates what is there.
update_options = _joined(
    click.option(
        "--max-failed",
        metavar="FRACTION",
        type=float,
        help="Publish nothing if more of the files fail (default 1.0).",
    ),
    click.option(
        "--max-deleted",
        metavar="FRACTION",
        type=float,
        help="Do nothing if more of the table would be deleted (default 0.1).",
    ),
    click.option(
        "--keep-missing/--delete-missing",
        default=None,
        help="Keep or delete rows of files that are not listed (default: delete, unless the corpus"
        " is a list, filtered or limited).",
    ),
    click.option("--recompute", is_flag=True, default=None, help="Extract every file again."),
    click.option(
        "--retry-failed", is_flag=True, default=None, help="Also retry files with unusable content."
    ),
    click.option(
        "--single-writer",
        is_flag=True,
        default=None,
        help="Run on storage without locks; no other run may write the table.",
    ),
    click.option("--dry-run", is_flag=True, help="Print the plan and stop."),
    click.option("-q", "--quiet", is_flag=True, help="Print only errors."),
)


#: How a run is watched, and what it leaves.
watch_options = _joined(
    click.option(
        "--metrics",
        metavar="127.0.0.1:PORT|FILE.prom",
        help="Metrics for Prometheus: at this address, or in this file for the node exporter.",
    ),
    click.option(
        LOG_FORMAT,
        type=click.Choice(["text", "json"]),
        expose_value=False,  # `messages` has it
        help="Messages on standard error: text (default), or the lines of the run's log in JSON.",
    ),
    click.option(
        "--dashboard",
        is_flag=True,
        default=None,
        help="Serve Dask's dashboard on this machine alone, and print its address.",
    ),
    click.option(
        "--performance-report",
        metavar="FILE.html",
        help="Write Dask's report on scheduler and workers.",
    ),
    click.option(
        "--on-success", metavar="COMMAND", help="Shell command to run if the exit code is 0."
    ),
    click.option(
        "--on-failure", metavar="COMMAND", help="Shell command to run if the run ends otherwise."
    ),
    click.option(
        "--keep-runs",
        metavar="N",
        type=int,
        help="Keep the records of the last N runs (default 100).",
    ),
)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def hooks_of(settings: Settings, table: str, *, dry_run: bool) -> AbstractContextManager[Observer]:
    """Return the context manager `jobs.diagnostics.hooks.hooks` of a run; a plan has no hooks."""
    if dry_run or not (settings.on_success or settings.on_failure):
        return contextlib.nullcontext(ignore)
    from jobs.diagnostics.hooks import hooks

    return hooks(settings, table)


def progress_of(
    settings: Settings, *, quiet: bool, as_json: bool
) -> AbstractContextManager[Observer]:
    """Return a context manager for the observer that shows a run on standard error."""
    if messages.log is None:
        return progress_for_terminal(quiet=quiet or as_json)
    messages.log.hide(secrets_of(settings))
    return contextlib.nullcontext(ignore if quiet else messages.log)


def print_report(
    report: RunReport, table: str, *, dry_run: bool, quiet: bool, as_json: bool
) -> None:
    """Print the report of a run.

    Raises
    ------
    OutputError
        If standard output cannot be written; the message says that the table is published.
    """
    try:
        _print(report, table, dry_run=dry_run, quiet=quiet, as_json=as_json)
    except OutputError as error:
        if report.status != "done":
            raise
        raise OutputError(f"{error} (the table is published)") from error


def _print(report: RunReport, table: str, *, dry_run: bool, quiet: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=1))
    elif dry_run:
        print_lines([*report.plan_lines(), *report.notes])
        if report.reason:
            print_lines([f"Nothing would be published: {report.reason}"])
    elif report.reason:
        notes = [] if quiet else report.notes
        if messages.log is None:
            print_lines([*notes, *report.summary_lines()], err=True)
        else:  # it has the notes
            messages.tell(*report.summary_lines(), event="held")
    elif not quiet:
        print_lines([*report.notes, *report.summary_lines()])
        if report.failures:
            print_lines([f"See why: featurelib errors {shlex.quote(table)}"])
    if line := report.unread_line():
        messages.tell(line, event="unread")
