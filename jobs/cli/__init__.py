"""The command line: ``featurelib``. Each command imports the heavy libraries that it needs."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from typing import Any, NoReturn

import click

from jobs.cli import (  # noqa: F401 - each adds its commands to the group
    cluster,
    compiling,
    exporting,
    extract,
    models,
    plotting,
    reporting,
    specs,
    spectrograms,
    table,
    verifying,
)
from jobs.cli.group import cli
from jobs.cli.output import messages
from jobs.cli.slips import hint_for_option
from jobs.cli.streams import (
    drop_output,
    fit_streams,
    name_errors_of_output,
    open_missing_streams,
    restart_in_utf8,
    signals_raised,
    start_and_end_quickly,
)
from jobs.errors import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    JobError,
    OutputError,
    TerminatedError,
    exit_code_of,
    message_of,
)

__all__ = ["cli", "main"]


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Parameters
    ----------
    arguments : list of str, optional
        Arguments; by default those of the process.
    """
    if arguments is None:
        open_missing_streams()
        restart_in_utf8()
        name_errors_of_output()
        warnings.showwarning = _show_warning  # type: ignore[assignment]
        start_and_end_quickly(lambda: main(sys.argv[1:]))
    open_missing_streams()
    fit_streams()
    messages.begin(arguments)
    debug = "--debug" in arguments
    is_run = arguments[:1] in (["extract"], ["spectrograms"])
    kept = "; finished work is kept, run again to go on" if is_run else ""
    try:
        os.getcwd()
    except FileNotFoundError:
        fail("the working folder was deleted: go to another one (cd)", EXIT_FAILED, debug)
    try:
        with signals_raised():
            code = cli.main(arguments, prog_name="featurelib", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        fail(_with_help(error), error.exit_code, debug)
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        drop_output()
        sys.exit(EXIT_FAILED)
    except OutputError as error:
        drop_output()
        fail(str(error), error.exit_code, debug)
    except (KeyboardInterrupt, click.Abort):
        fail(f"interrupted{kept}", EXIT_INTERRUPTED, debug)
    except TerminatedError as error:
        fail(f"{error}{kept}", error.exit_code, debug)
    except JobError as error:
        fail(str(error), error.exit_code, debug)
    except Exception as error:  # noqa: BLE001 - the last place to report an error
        fail(message_of(error), exit_code_of(error), debug)


def _show_warning(message: Warning | str, *_: Any) -> None:
    """Print a warning in one line, without the line of code that Python would add."""
    messages.tell(str(message))


def _with_help(error: click.ClickException) -> str:
    text = error.format_message().rstrip(".")
    text = text[:1].lower() + text[1:]
    command = error.ctx.info_name if isinstance(error, click.UsageError) and error.ctx else None
    if isinstance(error, click.NoSuchOption) and (
        hint := hint_for_option(error.option_name, command)
    ):
        text = f"no such option {error.option_name!r}: {hint}"
    if isinstance(error, click.UsageError) and error.ctx is not None:
        text += f" (see {error.ctx.command_path} --help)"
    return text


def fail(text: str, code: int, debug: bool) -> NoReturn:
    """Print an error in one line, or its traceback and the line, and exit."""
    if debug:
        traceback.print_exc()
    else:
        logging.disable()  # Dask logs errors if its shutdown is interrupted too
    messages.fail(text, code)
    sys.exit(code)
