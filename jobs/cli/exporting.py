"""The command that writes a table to one file: export."""

from __future__ import annotations

import json

import click

from jobs.cli.group import cli
from jobs.cli.options import common_options, options_of, storage_option
from jobs.cli.output import print_lines

_EXAMPLES = """\b
Examples:
  featurelib export features/ --output features.csv
  featurelib export features/ --as gtzan --output features_30_sec.csv
  featurelib export features/ --as fma --output features.csv --force
  featurelib export s3://bucket/features --output features.npz
"""


@cli.command(short_help="Write a table to one file.", epilog=_EXAMPLES)
@click.argument("table")
@click.option(
    "--as",
    "kind",
    metavar="gtzan|fma|tutorial|csv|parquet|npz|arrow",
    help="Layout of a published table, or a format (default: by the extension of the file).",
)
@click.option("-o", "--output", metavar="FILE", required=True, help="Path or URL of the file.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@storage_option
@common_options
def export(
    table: str,
    kind: str | None,
    output: str,
    force: bool,
    storage_options: tuple[str, ...],
    as_json: bool,
    debug: bool,
) -> int:
    """Write the rows of TABLE to one file, sorted by path and segment.

    csv, parquet and arrow have all columns; series in CSV are JSON. npz has the arrays matrix,
    names, paths, labels, segments and channels for numpy.load.

    gtzan, fma and tutorial are the CSV files that others have published, with their names and
    order of columns. The presets gtzan-v1, gtzan-segments-v1, fma-v1, tutorial-v0 and tutorial-v1
    make tables that have these columns. For fma, files are named by the number of their track, as
    000002.mp3.
    """
    from jobs.export import export as export_to

    result = export_to(table, output, kind, options_of(storage_options), force=force)
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=1))
    else:
        print_lines(result.lines())
    return 0
