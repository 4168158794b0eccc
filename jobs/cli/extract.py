"""The commands that write a table: extract and relocate."""

from __future__ import annotations

import functools
import json
import shlex
from typing import Any

import click

from jobs.cli.group import cli
from jobs.cli.options import common_options, settings_of, spec_of, storage_option
from jobs.cli.output import print_lines
from jobs.cli.streams import terminable
from jobs.diagnostics.progress import progress_for_terminal

_EXTRACT_EPILOG = """\b
Examples:
  featurelib extract music/ --output features/ --labels parent
  featurelib extract s3://bucket/music --output s3://bucket/features --workers 8
  featurelib extract 'music/**/*.flac' --output features/ --dry-run
  featurelib extract tracks.csv --output features/ --preset tutorial-v1
  featurelib extract music/ --output features/ --cluster tcp://127.0.0.1:8786

\b
Exit codes:
  0    done
  1    the run failed; the table holds what it held, finished work is kept
  2    usage: an option, a settings file, a label file, another table's spec
  3    a limit (--max-failed, --max-deleted) held the publication back
  75   another job is alive and writing the table
  130  ended by Ctrl-C; finished work is kept, run again to go on
  143  ended by SIGTERM; likewise
"""


@cli.command(epilog=_EXTRACT_EPILOG, short_help="Make a table of a corpus, or update it.")
@click.argument("corpus")
@click.option("-o", "--output", "table", metavar="TABLE", required=True, help="Where the table is.")
@click.option("--preset", metavar="NAME", help="What to extract (default genre-v1).")
@click.option("--config", metavar="FILE.toml", help="Spec and settings: [spec] and [run].")
@click.option("--labels", metavar="parent|FILE", help="The folder a file is in, or a CSV/Parquet.")
@click.option("--partition-by", metavar="label|none", help="Folders of the table.")
@click.option("--include", metavar="PATTERN", multiple=True, help="Only such paths; repeatable.")
@click.option("--exclude", metavar="PATTERN", multiple=True, help="No such paths; repeatable.")
@click.option("--limit", metavar="N", type=int, help="Take N files at most.")
@click.option(
    "--verify-list",
    is_flag=True,
    default=None,
    help="Look up each file of a list that has sizes and versions.",
)
@click.option("--cluster", metavar="local|inline|ADDRESS", help="Where to work (default local).")
@click.option("--workers", metavar="N", type=int, help="Processes (default one a core).")
@click.option("--worker-memory", metavar="SIZE", help="Memory limit of a local worker.")
@click.option("--buckets", metavar="N", type=int, help="Parts a label (default by size).")
@storage_option
@click.option("--max-failed", metavar="FRACTION", type=float, help="Publish nothing beyond (1.0).")
@click.option("--max-deleted", metavar="FRACTION", type=float, help="Do nothing beyond (0.1).")
@click.option(
    "--keep-missing/--delete-missing",
    default=None,
    help="Rows of files that are not listed; by default only a whole listing deletes.",
)
@click.option("--recompute", is_flag=True, default=None, help="Extract every file again.")
@click.option("--retry-failed", is_flag=True, default=None, help="Try failed files again.")
@click.option("--single-writer", is_flag=True, default=None, help="No other job writes the table.")
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@common_options
def extract(
    corpus: str,
    table: str,
    preset: str | None,
    config: str | None,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    debug: bool,
    **options: Any,
) -> int:
    """Extract features of the audio files in CORPUS into the table TABLE.

    CORPUS is a folder, s3://bucket/prefix or another fsspec URL, a glob, or a list of
    files (text, CSV, TSV or Parquet). Run it again to bring the table up to date: only
    what is new or has changed is read.
    """
    settings, spec_values = settings_of(config, options)
    with terminable():
        progress = progress_for_terminal(quiet=quiet or as_json)
        from jobs.execution.opening import open_executor
        from jobs.request import RunRequest
        from jobs.run import plan_job, run_job

        request = RunRequest(corpus, table, spec_of(preset, spec_values, config), settings)
        if dry_run:
            report = plan_job(request, progress)
        else:
            opener = functools.partial(open_executor, settings, debug=debug)
            report = run_job(request, opener, progress)
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=1))
    elif dry_run:
        print_lines([*report.plan_lines(), *report.notes])
        if report.reason:
            print_lines([f"Nothing would be published: {report.reason}"])
    elif report.reason:
        print_lines([*([] if quiet else report.notes), *report.summary_lines()], err=True)
    elif not quiet:
        print_lines([*report.notes, *report.summary_lines()])
        if report.failures:
            print_lines([f"See why: featurelib errors {shlex.quote(table)}"])
    return report.exit_code


@cli.command(short_help="Go on with a corpus that has moved.")
@click.argument("table")
@click.argument("corpus")
@click.option("--min-match", metavar="FRACTION", type=float, help="Refuse below (0.9).")
@click.option("--include", metavar="PATTERN", multiple=True, help="Only such paths; repeatable.")
@click.option("--exclude", metavar="PATTERN", multiple=True, help="No such paths; repeatable.")
@storage_option
@click.option("--single-writer", is_flag=True, default=None, help="No other job writes the table.")
@click.option("--dry-run", is_flag=True, help="Compare and stop.")
@common_options
def relocate(
    table: str,
    corpus: str,
    min_match: float | None,
    dry_run: bool,
    as_json: bool,
    debug: bool,
    **options: Any,
) -> int:
    """Say that the corpus of TABLE is at CORPUS now: another folder, mount point or bucket.

    The files there are compared with the table's, by path and by version (size and
    modification time; on S3 the ETag). Where enough are the same, featurelib extract goes on
    with CORPUS and reads only what is new or differs.
    """
    settings, _ = settings_of(None, options)
    with terminable():
        from jobs.relocation import MIN_MATCH, relocate

        found = relocate(
            table,
            corpus,
            min_match=MIN_MATCH if min_match is None else min_match,
            dry_run=dry_run,
            settings=settings,
            observer=progress_for_terminal(quiet=as_json),
        )
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=1))
    else:
        print_lines(found.lines())
        if found.reason:
            print_lines([f"The corpus is not taken for the same: {found.reason}"], err=True)
    return found.exit_code
