"""The commands that write a table: extract, relocate and repartition."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import click

from jobs.cli.group import cli
from jobs.cli.options import common_options, settings_of, spec_of, storage_option
from jobs.cli.output import print_lines
from jobs.cli.running import (
    EXIT_CODES,
    cluster_options,
    corpus_options,
    hooks_of,
    print_report,
    progress_of,
    update_options,
    watch_options,
)
from jobs.diagnostics.events import broadcast
from jobs.diagnostics.progress import progress_for_terminal
from jobs.execution import forkserver

_EXTRACT_EPILOG = f"""\b
Examples:
  featurelib extract music/ --output features/ --labels parent
  featurelib extract s3://bucket/music --output s3://bucket/features --workers 8
  featurelib extract 'music/**/*.flac' --output features/ --dry-run
  featurelib extract tracks.csv --output features/ --preset tutorial-v1
  featurelib extract music/ --output features/ --cluster tcp://127.0.0.1:8786

{EXIT_CODES}"""


@cli.command(epilog=_EXTRACT_EPILOG, short_help="Make or update the table of a corpus.")
@click.argument("corpus")
@click.option(
    "-o", "--output", "table", metavar="TABLE", required=True, help="Folder or URL of the table."
)
@click.option("--preset", metavar="NAME", help="Features to extract (default genre-v1).")
@click.option(
    "--config", metavar="FILE.toml", help="File with a spec [spec] and with options [run]."
)
@corpus_options
@click.option(
    "--partition-by",
    metavar="label|none",
    help="One folder per label, or a flat table (default label if there are labels).",
)
@cluster_options
@click.option(
    "--buckets", metavar="N", type=int, help="Parts per label of a new table (default by size)."
)
@click.option(
    "--reuse",
    metavar="TABLE",
    help="Copy columns with the same values from another table of the corpus.",
)
@update_options
@watch_options
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
    """Extract features from the audio files of CORPUS into the table TABLE.

    CORPUS is a folder, s3://bucket/prefix or another fsspec URL, a glob in quotes, or a list
    of files (text, CSV, TSV or Parquet). Run the same command again to update the table: only
    new and changed files are read.
    """
    settings, spec_values = settings_of(config, options)
    with hooks_of(settings, table, dry_run=dry_run) as hook:
        with contextlib.ExitStack() as stack:
            progress = stack.enter_context(progress_of(settings, quiet=quiet, as_json=as_json))
            observer = broadcast(progress, hook)
            if not dry_run:
                stack.enter_context(forkserver.ahead_of(settings, table))
            from jobs.execution.opening import executor_opener
            from jobs.request import RunRequest
            from jobs.run import plan_job, run_job

            request = RunRequest(corpus, table, spec_of(preset, spec_values, config), settings)
            opener = executor_opener(settings, debug=debug)
            report = plan_job(request, observer) if dry_run else run_job(request, opener, observer)
        print_report(report, table, dry_run=dry_run, quiet=quiet, as_json=as_json)
    return report.exit_code


@cli.command(short_help="Continue a table whose corpus has moved.")
@click.argument("table")
@click.argument("corpus")
@click.option(
    "--min-match",
    metavar="FRACTION",
    type=float,
    help="Refuse if fewer of the table's files are the same (default 0.9).",
)
@click.option(
    "--include", metavar="PATTERN", multiple=True, help="Take only matching paths; repeatable."
)
@click.option(
    "--exclude", metavar="PATTERN", multiple=True, help="Leave out matching paths; repeatable."
)
@storage_option
@click.option(
    "--single-writer",
    is_flag=True,
    default=None,
    help="Run on storage without locks; no other run may write the table.",
)
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
    """Record in TABLE that its corpus is at CORPUS now: another folder, mount or bucket.

    The files there are compared with the table by path and version (size and modification
    time; on S3 the ETag). If enough are the same, featurelib extract accepts CORPUS and reads
    only files that are new or differ.
    """
    settings, _ = settings_of(None, options)
    with progress_for_terminal(quiet=as_json) as progress:
        from jobs.relocation import MIN_MATCH, relocate

        relocation = relocate(
            table,
            corpus,
            min_match=MIN_MATCH if min_match is None else min_match,
            dry_run=dry_run,
            settings=settings,
            observer=progress,
        )
    if as_json:
        click.echo(json.dumps(relocation.to_dict(), indent=1))
    else:
        print_lines(relocation.lines())
        if relocation.reason:
            print_lines([f"The corpus is not taken for the same: {relocation.reason}"], err=True)
    return relocation.exit_code


_REPARTITION_EPILOG = """\b
Examples:
  featurelib repartition features/ larger/
  featurelib repartition s3://bucket/features s3://bucket/larger --buckets 400
  featurelib repartition features/ flat/ --partition-by none
"""


@cli.command(
    short_help="Copy a table that outgrew its buckets into one that fits.",
    epilog=_REPARTITION_EPILOG,
)
@click.argument("table")
@click.argument("new")
@click.option(
    "--buckets",
    metavar="N",
    type=click.IntRange(1),
    help="Number of buckets of the copy (default: for parts of about 50 MB).",
)
@click.option(
    "--partition-by",
    metavar="label|none",
    type=click.Choice(["label", "none"]),
    help="Folders by label, or none (default: as in TABLE).",
)
@storage_option
@click.option(
    "--single-writer",
    is_flag=True,
    default=None,
    help="Run on storage without locks; nothing else may write NEW.",
)
@common_options
def repartition(
    table: str,
    new: str,
    buckets: int | None,
    partition_by: str | None,
    as_json: bool,
    debug: bool,
    **options: Any,
) -> int:
    """Copy TABLE into NEW with another number of buckets, or other partitions.

    Everything else stays as it is, so featurelib extract goes on with NEW and reads only files
    that are new or changed. TABLE is not changed, and no run may write it meanwhile. NEW becomes
    a table when it is complete. If the command was interrupted, run it again: it goes on.
    """
    settings, _ = settings_of(None, options)
    with progress_for_terminal(quiet=as_json) as progress:
        from jobs.repartition import repartition

        result = repartition(
            table,
            new,
            buckets=buckets,
            partition_by=partition_by,
            settings=settings,
            observer=progress,
        )
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=1))
    else:
        print_lines(result.lines())
    return result.exit_code
