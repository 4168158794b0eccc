"""The command that compares values with librosa's: verify."""

from __future__ import annotations

import json
import os
import sys

import click

from jobs.cli.group import cli
from jobs.cli.options import common_options, settings_of, spec_of, storage_option
from jobs.cli.output import print_lines, print_rows
from jobs.corpus.formats import format_of
from jobs.errors import UsageError

_EXAMPLES = """\b
Examples:
  featurelib verify features/
  featurelib verify features/ --sample 100
  featurelib verify song.mp3 --preset tutorial-v1
"""


@cli.command(short_help="Compare values of a table with librosa's.", epilog=_EXAMPLES)
@click.argument("location", metavar="TABLE|FILE")
@click.option("--sample", metavar="N", type=int, help="Number of files of the table (default 20).")
@click.option("--preset", metavar="NAME", help="Features of FILE (default genre-v1).")
@click.option(
    "--config", metavar="FILE.toml", help="Spec of FILE, or of a TABLE with features of your own."
)
@storage_option
@common_options
def verify(
    location: str,
    sample: int | None,
    preset: str | None,
    config: str | None,
    storage_options: tuple[str, ...],
    as_json: bool,
    debug: bool,
) -> int:
    """Read the audio of some files of TABLE again and compare their values with librosa's.

    librosa runs in a process of its own and is called as "featurelib describe" says; statistics
    are NumPy's and SciPy's. For each family of features the largest deviation is printed, as a
    share of the tolerance: 1e-4 of the value and 1e-6 of the root mean square of its frames. A
    value outside of it is counted apart if it differs by at most four times librosa's own
    rounding errors, which its results for samples in float64 show. Otherwise the exit code is 3.
    It is 1 if a feature has a librosa counterpart, but no value of it could be compared.

    The files are the same ones each time. Files that have changed since are not compared. With a
    FILE, its features are extracted and compared.
    """
    from jobs.verification import SAMPLE, verify_file, verify_table

    settings, values = settings_of(config, {"storage_options": storage_options})
    options = {side: settings.options_for(side) for side in ("corpus", "table")}
    is_folder = os.path.isdir(location)
    is_file = os.path.isfile(location) or (format_of(location) != "" and not is_folder)
    if is_folder and preset is not None:
        raise UsageError(f"{location} is a table, which has its own spec: drop --preset")
    if is_file and sample is not None:
        raise UsageError(f"{location} is one file: drop --sample, which is for tables")
    is_asked = preset is not None or bool(values)
    if preset is not None or is_file:
        result = verify_file(location, spec_of(preset, values, config), options["corpus"])
    else:
        spec = spec_of(preset, values, config) if is_asked else None
        result = verify_table(
            location,
            options["table"],
            corpus_options=options["corpus"],
            sample=SAMPLE if sample is None else sample,
            spec=spec,
            on_file=_show,
        )
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=1))
    else:
        header = ["family", "values", "of the tolerance", "largest deviation", ""]
        print_rows([header, *result.rows()])
        print_lines(result.lines())
    return result.exit_code


def _show(path: str) -> None:
    """Say which file is at work, on a terminal."""
    if sys.stderr.isatty():
        print_lines([f"verifying {path}"], err=True)
