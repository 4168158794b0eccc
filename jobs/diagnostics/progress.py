"""Show the progress of a run: a bar on a terminal or in a notebook, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import Any, TextIO

from featurelib.progress import NotebookBar, in_notebook
from jobs.diagnostics.events import (
    Counted,
    CountEnded,
    CountStarted,
    Event,
    Observer,
    Planned,
    RunEnded,
    ShardDone,
    StepEnded,
    StepStarted,
    ignore,
)

_PLAIN_EVERY_S = 30.0


def printable(text: str) -> str:
    """Escape control characters, so that a file name cannot control the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class Progress:
    """Observer that counts finished files; subclasses show the count."""

    def __init__(self) -> None:
        self._n_failed = 0

    def __call__(self, event: Event) -> None:
        """Show an event."""
        match event:
            case StepStarted(step):
                self.step(step)
            case Planned():
                self._n_failed = sum(event.reused_failures.values())
            case CountStarted(what, total):
                self.start(what, total)
            case Counted(n_files):
                self.advance(n_files)
            case ShardDone(result):
                self._n_failed += len(result.failures)
                self.advance(event.n_files, f"{self._n_failed} failed")
            case CountEnded() | StepEnded() | RunEnded():
                self.stop()

    def step(self, name: str) -> None:
        """Show that a step begins."""

    def start(self, what: str, total: int | None) -> None:
        """Begin a count of files; `total` is None if it is not known."""

    def advance(self, n_files: int, note: str = "") -> None:
        """Add finished files to the count."""

    def stop(self) -> None:
        """End the count."""


def _own_stderr() -> TextIO:
    """Return standard error with a descriptor of its own.

    A run in this process captures output of native libraries on the original descriptor.
    """
    try:
        descriptor = os.dup(sys.stderr.fileno())
    except (OSError, ValueError):  # replaced by a test or an IDE
        return sys.stderr
    encoding, errors = sys.stderr.encoding, sys.stderr.errors
    return open(descriptor, "w", buffering=1, encoding=encoding, errors=errors)


class Plain(Progress):
    """Progress as lines on standard error: at the start of a count, then every 30 seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._file = _own_stderr()
        self._what = ""
        self._total: int | None = None
        self._done = 0
        self._printed_at = 0.0

    def _print(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a full disk behind standard error ends no run
            print(printable(text), file=self._file, flush=True)

    def start(self, what: str, total: int | None) -> None:
        """Print the name and total of a count."""
        self._what, self._total, self._done = what, total, 0
        self._printed_at = time.monotonic()
        if total is not None:
            self._print(f"{what}: {total} files")

    def advance(self, n_files: int, note: str = "") -> None:
        """Print the count if the last line is old enough."""
        self._done += n_files
        if time.monotonic() - self._printed_at >= _PLAIN_EVERY_S:
            self._printed_at = time.monotonic()
            total = f" of {self._total}" if self._total is not None else ""
            self._print(f"{self._what}: {self._done}{total} files{note and ', ' + note}")


class Bar(Progress):
    """Progress as a bar on a terminal."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console

        self._console = Console(file=_own_stderr(), highlight=False)
        self._progress: Any = None
        self._task: Any = None

    def step(self, name: str) -> None:
        """Show a clock while workers start: compiling kernels may take half a minute."""
        if name != "cluster":
            return
        from rich.progress import Progress, TextColumn, TimeElapsedColumn

        self.stop()
        columns = [TextColumn("{task.description}"), TimeElapsedColumn()]
        self._progress = Progress(*columns, console=self._console, transient=True)
        self._progress.start()
        self._progress.add_task("starting workers", total=None)

    def start(self, what: str, total: int | None) -> None:
        """Show a new bar, or a counter if the total is not known."""
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.stop()
        columns: list[Any] = [TextColumn("{task.description}")]
        if total is not None:
            columns += [BarColumn(), MofNCompleteColumn(), TextColumn("files, {task.fields[note]}")]
            columns += [TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()]
        else:
            columns += [TextColumn("{task.completed} files"), TimeElapsedColumn()]
        self._progress = Progress(*columns, console=self._console, transient=total is None)
        self._progress.start()
        self._task = self._progress.add_task(what, total=total, note="0 failed")

    def advance(self, n_files: int, note: str = "") -> None:
        """Move the bar."""
        if self._progress is not None:
            fields = {"note": note} if note else {}
            self._progress.update(self._task, advance=n_files, **fields)

    def stop(self) -> None:
        """Remove the bar."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class Notebook(Progress):
    """Progress as a bar below a notebook cell."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: NotebookBar | None = None

    def start(self, what: str, total: int | None) -> None:
        """Show a new bar."""
        self.stop()
        self._bar = NotebookBar(what, total)

    def advance(self, n_files: int, note: str = "") -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.advance(n_files, note)

    def stop(self) -> None:
        """Finish the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def progress_for_terminal(*, quiet: bool) -> Observer:
    """Return a bar if standard error is a terminal or a notebook, else plain lines."""
    if quiet:
        return ignore
    if in_notebook():
        return Notebook()
    return Bar() if sys.stderr.isatty() else Plain()
