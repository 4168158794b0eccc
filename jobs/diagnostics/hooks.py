"""The commands ``on_success`` and ``on_failure``, which start when a run has ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import warnings
from collections.abc import Iterator

from jobs.diagnostics.events import Observer, ignore
from jobs.diagnostics.recorder import ended_by
from jobs.diagnostics.run_report import RunReport
from jobs.errors import EXIT_DONE
from jobs.settings import Settings, secrets_of
from jobs.storage.urls import is_url, redacted
from jobs.table.changes import Change
from jobs.table.history import without_secrets

#: A command that takes longer is killed [s].
TIMEOUT_S = 60.0

#: The command may have a secret, such as the address of a webhook. Arguments of a process can be
#: read by all users of a machine, its environment cannot.
_SHELL = ["sh", "-c", 'hook=$FEATURELIB_HOOK; unset FEATURELIB_HOOK; eval "$hook"']


@contextlib.contextmanager
def hooks(settings: Settings, table: str) -> Iterator[Observer]:
    """Context manager for a run; at its end, start the command that the settings name for it.

    ``on_success`` is started if the exit code is 0, ``on_failure`` if it is another one, also that
    of Ctrl-C, SIGTERM, or a usage error other than in the settings. The command gets the report as
    JSON on standard input, and the facts of `_environment`. Its output goes to standard error. If
    it fails, or takes longer than `TIMEOUT_S`, a warning says so; the exit code of the run stays
    what it is.

    Parameters
    ----------
    settings : Settings
        The settings of the run.
    table : str
        Location of the table.

    Yields
    ------
    callable
        An observer, which must receive the events of the run.
    """
    if not (settings.on_success or settings.on_failure):
        yield ignore
        return
    report = RunReport("", redacted(table) if is_url(table) else os.path.abspath(table))
    try:
        yield report
    except BaseException as error:
        report(ended_by(error))  # again, if this was an error of the run
        _start_hook(settings, report)
        raise
    _start_hook(settings, report)


def _start_hook(settings: Settings, report: RunReport) -> None:
    name = "on_success" if report.exit_code == EXIT_DONE else "on_failure"
    command = getattr(settings, name)
    if not command:
        return
    secrets = secrets_of(settings)
    facts = {
        name: without_secrets(text, secrets).replace("\0", "")
        for name, text in _environment(report).items()
    }
    if problem := _problem_of(
        command, facts, without_secrets(json.dumps(report.to_dict(), indent=1), secrets)
    ):
        option = f"--{name.replace('_', '-')}"
        warnings.warn(f"the command of {option} {problem}", stacklevel=2)


def _environment(report: RunReport) -> dict[str, str]:
    """Return what a command is told by environment variables."""
    facts = {
        "TABLE": report.table,
        "RUN_ID": report.run_id,
        "STATUS": report.status,
        "EXIT_CODE": report.exit_code,
        "REASON": report.reason or report.unread_line(),
        "NEW": report.counts[Change.NEW],
        "CHANGED": report.counts[Change.CHANGED],
        "DELETED": report.counts[Change.DELETED],
        "READ": report.n_read,
        "FAILED": report.n_failed,
        "SECONDS": round(sum(report.seconds.values())),
    }
    return {f"FEATURELIB_{name}": str(value) for name, value in facts.items()}


def _problem_of(command: str, facts: dict[str, str], report: str) -> str:
    """Run a command to its end; return what went wrong, or an empty text."""
    try:
        process = subprocess.Popen(
            _SHELL,
            stdin=subprocess.PIPE,
            stdout=2,  # standard output is the run's own, which may be JSON
            env={**os.environ, **facts, "FEATURELIB_HOOK": command},
            process_group=0,
        )
    except (OSError, ValueError) as error:
        return f"cannot be started: {error}"
    try:
        process.communicate(report.encode(), TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"took longer than {TIMEOUT_S:g} s and was killed"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode < 0:
        return f"was ended by signal {-process.returncode}"
    return f"ended with exit code {process.returncode}" if process.returncode else ""
