"""The command ``featurelib``. Heavy libraries are imported by the commands that need them."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import locale
import logging
import os
import shlex
import shutil
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import click

from jobs.diagnostics.progress import printable, progress_for_terminal
from jobs.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, JobError, TerminatedError
from jobs.settings import Settings, did_you_mean, read_config, with_values

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


class _Commands(click.Group):
    """A group that says which command was probably meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            ctx.fail(f"there is no command {name!r}{did_you_mean(name, self.commands)}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="featurelib", prog_name="featurelib")
def cli() -> None:
    """Turn audio corpora into partitioned Parquet feature tables.

    \b
    Examples:
      featurelib extract music/ --output features/ --labels parent
      featurelib status features/
      featurelib show music/song.mp3

    Every command has its own --help.
    """


def _storage_options(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--storage-option",
        "storage_options",
        metavar="KEY=VALUE",
        multiple=True,
        help="Option for fsspec, such as endpoint_url=…; repeatable. corpus:KEY=… and"
        " table:KEY=… are for one side. AWS settings are found as usual without.",
    )(command)


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--debug", is_flag=True, help="Show tracebacks and Dask's log.")(command)
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


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
@click.option("--cluster", metavar="local|ADDRESS", help="Where to work (default local).")
@click.option("--workers", metavar="N", type=int, help="Processes (default one a core).")
@click.option("--worker-memory", metavar="SIZE", help="Memory limit of a local worker.")
@click.option("--buckets", metavar="N", type=int, help="Parts a label (default by size).")
@_storage_options
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
@_common
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
    settings, spec_values = _settings(config, options)
    with _terminable():
        progress = progress_for_terminal(quiet=quiet or as_json)
        from jobs.api import executor_opener
        from jobs.request import RunRequest
        from jobs.run import plan_job, run_job

        request = RunRequest(corpus, table, _spec(preset, spec_values, config), settings)
        if dry_run:
            report = plan_job(request, progress)
        else:
            report = run_job(request, executor_opener(settings, debug=debug), progress)
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=1))
    elif dry_run:
        _print_lines([*report.plan_lines(), *report.notes])
        if report.reason:
            _print_lines([f"Nothing would be published: {report.reason}"])
    elif report.reason:
        _print_lines([*([] if quiet else report.notes), *report.summary_lines()], err=True)
    elif not quiet:
        _print_lines([*report.notes, *report.summary_lines()])
        if report.failures:
            _print_lines([f"See why: featurelib errors {shlex.quote(table)}"])
    return report.exit_code


def _settings(config: str | None, options: dict[str, Any]) -> tuple[Settings, dict[str, Any]]:
    spec_values: dict[str, Any] = {}
    settings = Settings()
    if config is not None:
        spec_values, run_values = read_config(config)
        settings = with_values(settings, run_values, config)
    given = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if value is not None and value != ()
    }
    return with_values(settings, given, "command line"), spec_values


def _spec(preset: str | None, values: dict[str, Any], config: str | None) -> Any:
    import featurelib

    if preset is not None:
        values = {**values, "preset": preset}
    if not values:
        return featurelib.get_spec()
    return featurelib.spec_from_settings(values, os.path.dirname(config or "") or ".")


@cli.command(short_help="Show what a table holds, its runs, and what is new.")
@click.argument("table")
@_storage_options
@_common
def status(table: str, storage_options: tuple[str, ...], as_json: bool, debug: bool) -> int:
    """Show what TABLE holds, its runs, and what running it again would do."""
    from jobs.status import table_status

    found = table_status(table, _options(storage_options))
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=1, default=str))
    else:
        _print_lines(found.lines())
    return 0


@cli.command(short_help="List the files that could not be used, and why.")
@click.argument("table")
@click.option("--partial", is_flag=True, help="Those with features of a part of their audio.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@_storage_options
@_common
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

    rows = (partial_rows if partial else error_rows)(table, _options(storage_options))
    if as_json:
        click.echo(json.dumps(rows.to_pylist(), indent=1, default=str))
    elif as_csv:
        _print_csv(rows.column_names, rows.to_pylist())
    elif not len(rows):
        click.echo("All decoded as a whole" if partial else "No errors")
    elif partial:
        _print_rows([_partial_cells(row) for row in rows.to_pylist()])
    else:
        _print_rows([[r["path"], r["error_kind"], r["message"]] for r in rows.to_pylist()])
    return 0


def _partial_cells(row: dict[str, Any]) -> list[str]:
    lost = "unknown" if row["lost_s"] is None else f"{row['lost_s']:.3f} s"
    return [row["path"], row["decoding"], f"{row['duration_s']:.3f} s decoded", f"{lost} lost"]


@cli.command(short_help="Go on with a corpus that has moved.")
@click.argument("table")
@click.argument("corpus")
@click.option("--min-match", metavar="FRACTION", type=float, help="Refuse below (0.9).")
@click.option("--include", metavar="PATTERN", multiple=True, help="Only such paths; repeatable.")
@click.option("--exclude", metavar="PATTERN", multiple=True, help="No such paths; repeatable.")
@_storage_options
@click.option("--single-writer", is_flag=True, default=None, help="No other job writes the table.")
@click.option("--dry-run", is_flag=True, help="Compare and stop.")
@_common
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
    settings, _ = _settings(None, options)
    with _terminable():
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
        _print_lines(found.lines())
        if found.reason:
            _print_lines([f"The corpus is not taken for the same: {found.reason}"], err=True)
    return found.exit_code


@cli.command(short_help="List the presets: what can be extracted.")
@_common
def presets(as_json: bool, debug: bool) -> int:
    """List the presets: named specs, whose values never change under a name."""
    import featurelib

    specs = [(name, featurelib.get_spec(name)) for name in featurelib.PRESETS]
    if as_json:
        click.echo(json.dumps({name: spec.to_dict() for name, spec in specs}, indent=1))
    else:
        for name, spec in specs:
            stretch = "whole file" if spec.duration is None else f"first {spec.duration:g} s"
            n_features = len(featurelib.feature_names(spec))
            click.echo(f"{name:<14}{n_features:>4} features, {spec.sr} Hz, {stretch}")
        click.echo("What is in one: featurelib describe NAME")
    return 0


@cli.command(short_help="List the families of features, and their parameters.")
@click.option("--markdown", is_flag=True, help="Print a table for a document.")
@_common
def families(markdown: bool, as_json: bool, debug: bool) -> int:
    """List what a spec may name: families of features, their parameters, and statistics."""
    import featurelib

    found = featurelib.describe_families()
    if as_json:
        click.echo(json.dumps({"families": found, "statistics": featurelib.STATISTICS}, indent=1))
    elif markdown:
        _print_lines(_markdown(found))
    else:
        shared = {p["name"]: p for family in found for p in family["parameters"] if p["is_shared"]}
        for family in found:
            unit = f" [{family['unit']}]" if family["unit"] != "1" else ""
            _print_lines([f"{family['family']}{unit}  {family['definition']}"])
            own = [p for p in family["parameters"] if p["name"] not in shared]
            _print_rows([_parameter_cells(parameter) for parameter in own])
        _print_lines(["", "Parameters of all that reads frames or spectra:"])
        _print_rows([_parameter_cells(parameter) for parameter in shared.values()])
        _print_lines(["", "Statistics:"])
        _print_rows([["    " + name, text] for name, text in featurelib.STATISTICS.items()])
        _print_lines(["    q and a percentage: that quantile, such as q25, or q2_5 for 2.5 %"])
    return 0


def _parameter_cells(parameter: dict[str, Any]) -> list[str]:
    default = "" if parameter["default"] is None else json.dumps(parameter["default"])
    return ["    " + parameter["name"], default, parameter["bounds"], parameter["definition"]]


def _markdown(found: list[dict[str, Any]]) -> list[str]:
    lines = ["| family | what it is | parameters |", "|---|---|---|"]
    for family in found:
        parameters = ", ".join(
            f"`{p['name']}`" + ("" if p["default"] is None else f" {p['default']}")
            for p in family["parameters"]
            if not p["is_shared"]
        )
        lines.append(f"| `{family['family']}` | {family['definition']} | {parameters} |")
    return lines


@cli.command(short_help="Define every column of a preset, a settings file or a table.")
@click.argument("spec", metavar="PRESET|FILE.toml|TABLE")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@_storage_options
@_common
def describe(
    spec: str, as_csv: bool, storage_options: tuple[str, ...], as_json: bool, debug: bool
) -> int:
    """Show every column of a spec: name, type, unit, definition, librosa counterpart.

    The spec is a PRESET, the one in a settings file FILE.toml, or that of a TABLE. Of a table
    nothing is run: its columns are described as they were when it was made.
    """
    from jobs.cli.describing import described

    columns, lines = described(spec, _options(storage_options))
    if as_json:
        click.echo(json.dumps(columns, indent=1))
    elif as_csv:
        _print_csv(list(columns[0]), columns)
    else:
        for column in columns:
            _print_description(column)
        _print_lines(lines)
    return 0


@cli.command(short_help="Extract one file and show its row.")
@click.argument("file")
@click.option("--preset", metavar="NAME", help="What to extract (default genre-v1).")
@click.option("--config", metavar="FILE.toml", help="Spec: its [spec] table.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@_common
def show(
    file: str, preset: str | None, config: str | None, as_csv: bool, as_json: bool, debug: bool
) -> int:
    """Extract one FILE (a path or URL) and show its row.

    Of a file with several rows (segments, channels) the first is shown, and the length of
    a series; --csv and --json print everything.
    """
    import featurelib
    from jobs.execution.native import captured_output

    _, spec_values = _settings(config, {})
    spec = _spec(preset, spec_values, config)
    try:
        with captured_output() as said:
            frame = featurelib.extract(file, spec)
            warnings = said()
    except OSError as error:
        raise JobError(f"cannot read {file}: {error.strerror or error}") from error
    except featurelib.AudioError as error:
        raise JobError(f"no features of {file}: {error.kind}, {error}") from error
    if as_csv:
        click.echo(frame.map(_plain_series).to_csv(index=False), nl=False)
    elif as_json:
        click.echo(frame.to_json(orient="records", indent=1, double_precision=15))
    else:
        _print_rows([[name, _value_text(value)] for name, value in frame.iloc[0].items()])
        if len(frame) > 1:
            _print_lines([f"first of {len(frame)} rows; --csv or --json prints all"], err=True)
        if warnings:
            _print_lines([f"the decoder says: {warnings}"], err=True)
    return 0


def _plain_series(value: Any) -> Any:
    """Return a series as JSON text: pandas would leave out values in the middle of it."""
    import numpy as np

    return value if np.ndim(value) == 0 else json.dumps(np.stack(value).tolist())


def _value_text(value: Any) -> str:
    import numpy as np

    if np.ndim(value) > 0:
        return f"series of shape {np.stack(value).shape}; --csv or --json prints it"
    # in a column of numbers pandas has NaN for null
    return "null" if value is None or value != value else str(value)


def _options(texts: tuple[str, ...]) -> dict[str, Any]:
    return Settings(storage_options=texts).options_for("table")


def _print_lines(lines: list[str], *, err: bool = False) -> None:
    for line in lines:
        click.echo(printable(line), err=err)


def _print_rows(rows: list[list[str]]) -> None:
    """Print rows as columns, as wide as the terminal; elsewhere, whole."""
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


def _print_description(column: dict[str, str]) -> None:
    width = min(100, shutil.get_terminal_size().columns)
    unit = f" [{column['unit']}]" if column["unit"] not in ("", "1") else ""
    click.echo(f"{column['name']}  {column['type']}{unit}")
    texts = [column["definition"]]
    if column["librosa"] != "none":
        texts.append(f"librosa: {column['librosa']}")
    for text in texts:
        lines = textwrap.wrap(
            text,
            width,
            initial_indent="    ",
            subsequent_indent="    ",
            break_on_hyphens=False,  # DCT-II stays whole
        )
        click.echo("\n".join(lines))


def _print_csv(names: list[str], rows: list[dict[str, Any]]) -> None:
    import csv

    def cell(value: Any) -> Any:
        # a name is untrusted: a file gets it as it is, a terminal does not
        return printable(value) if isinstance(value, str) and sys.stdout.isatty() else value

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([cell(row[name]) for name in names] for row in rows)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that a run ends in good order."""

    def terminate(number: int, frame: object) -> NoReturn:
        raise TerminatedError("ended by SIGTERM; finished work is kept, run again to go on")

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command and exit."""
    _open_missing_streams()
    if arguments is None:
        _restart_in_utf8()
        arguments = sys.argv[1:]
    _fit_streams()
    debug = "--debug" in arguments
    try:
        code = cli.main(arguments, prog_name="featurelib", standalone_mode=False)
        sys.exit(code or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        _fail(_with_help(error), error.exit_code, debug)
    except BrokenPipeError:  # who read the output, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted; finished work is kept, run again to go on", EXIT_INTERRUPTED, debug)
    except (JobError, TerminatedError) as error:
        _fail(str(error), error.exit_code, debug)
    except Exception as error:  # noqa: BLE001 - the last place where a user is told anything
        code = _exit_code_of(error)
        _fail(str(error) if code == EXIT_USAGE else _say(error), code, debug)


def _open_missing_streams() -> None:
    """Give a process that was started without output somewhere to write, as its workers."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            os.set_inheritable(descriptor, True)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - as long as the process
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


def _restart_in_utf8() -> None:
    """Start this process again in Python's UTF-8 mode, where the locale has another encoding.

    Local names are right in any locale (`jobs.storage.names.utf8_name`). But URLs and patterns from
    the command line, paths in a settings file and what other libraries print are text, which
    Python decodes when it starts.
    """
    if sys.getfilesystemencoding() == "utf-8" or sys.flags.utf8_mode:
        return
    if sys.executable and os.path.isfile(sys.argv[0]):  # not a script from standard input
        with contextlib.suppress(OSError):
            os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def _fit_streams() -> None:
    """Have output in UTF-8, on a terminal in the terminal's encoding; it never fails by that."""
    try:
        of_locale = codecs.lookup(locale.getencoding()).name  # UTF-8 mode leaves it as it is
    except LookupError:  # one that Python has no codec for
        of_locale = "utf-8"
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue
        # in the C locale, whose encoding is ASCII, a terminal most likely takes UTF-8
        own = stream.isatty() and of_locale != "ascii"
        encoding = of_locale if own else "utf-8"
        if "PYTHONIOENCODING" in os.environ:
            encoding = stream.encoding
        stream.reconfigure(encoding=encoding, errors="backslashreplace")


def _with_help(error: click.ClickException) -> str:
    text = error.format_message().rstrip(".")
    text = text[:1].lower() + text[1:]
    if isinstance(error, click.UsageError) and error.ctx is not None:
        text += f" (see {error.ctx.command_path} --help)"
    return text


def _exit_code_of(error: Exception) -> int:
    import featurelib

    return EXIT_USAGE if isinstance(error, featurelib.SpecError) else EXIT_FAILED


def _say(error: Exception) -> str:
    import featurelib

    if isinstance(error, featurelib.FeaturelibError):
        return str(error)
    return f"unforeseen {type(error).__name__}: {error} (--debug shows where; please report it)"


def _fail(text: str, code: int, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exc()
    else:
        logging.disable()  # Dask's farewell, where closing it was interrupted too
    click.echo(printable(f"featurelib: {' '.join(text.split())}"), err=True)
    sys.exit(code)
