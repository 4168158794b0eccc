"""The command that writes a page about a table: report."""

from __future__ import annotations

import json
import sys

import click

from jobs.cli.group import cli
from jobs.cli.options import common_options, options_of, storage_option
from jobs.cli.output import print_lines

_EXAMPLES = """\b
Examples:
  featurelib report features/ --output report.html
  featurelib report features/ --output report.html --force
  featurelib report features/ --output report.html --json
  featurelib report s3://bucket/features --output s3://bucket/report.html

\b
Exit codes:
  0    the page is written, whatever it says of the corpus
  1    the table cannot be read, or the page cannot be written
  2    the request is wrong: an option, or the file exists
  130  interrupted; no unfinished page is left
"""


@cli.command(short_help="Write a page about a table.", epilog=_EXAMPLES)
@click.argument("table")
@click.option("-o", "--output", metavar="FILE", required=True, help="Path or URL of the page.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@storage_option
@common_options
def report(
    table: str,
    output: str,
    force: bool,
    storage_options: tuple[str, ...],
    as_json: bool,
    debug: bool,
) -> int:
    """Write one HTML page about TABLE. It opens offline and loads nothing.

    It shows what the corpus is, what is wrong with it and what to do about that, how well the
    features tell the labels, a map of the tracks, the features by label, their correlations,
    the errors and the runs.

    Of a large table, whatever compares features is from a sample, and the page says so. The same
    table gives the same page.
    """
    from jobs.report.writing import write_report

    page = write_report(table, output, options_of(storage_options), force=force, on_step=_show)
    if as_json:
        click.echo(json.dumps(page.to_dict(), indent=1))
    else:
        print_lines(page.lines())
    return 0


def _show(step: str) -> None:
    """Say which step is at work, on a terminal."""
    if sys.stderr.isatty():
        print_lines([step], err=True)
