"""What a run tells its user while it works: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

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
    RunEnded,
    ShardDone,
    StepEnded,
    StepStarted,
    ignore,
)

_PLAIN_EVERY_S = 30.0


def printable(text: str) -> str:
    """Return a text with its control characters escaped: a file name may not steer a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class Progress:
    """Observes a run and shows how many files are done. Subclasses say how."""

    def __init__(self) -> None:
        self._n_failed = 0

    def __call__(self, event: Event) -> None:
        match event:
            case StepStarted(step):
                self.step(step)
            case CountStarted(what, total):
                self._n_failed = 0
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
        """Begin to count files."""

    def advance(self, n_files: int, note: str = "") -> None:
        """Count files that are done."""

    def stop(self) -> None:
        """End the counting."""


def _own_stderr() -> TextIO:
    """Return standard error by a descriptor of its own.

    A run in this process captures what native libraries write to the shared descriptor.
    """
    try:
        descriptor = os.dup(sys.stderr.fileno())
    except (OSError, ValueError):  # a stream of a test or an IDE
        return sys.stderr
    encoding, errors = sys.stderr.encoding, sys.stderr.errors
    return open(descriptor, "w", buffering=1, encoding=encoding, errors=errors)


class Plain(Progress):
    """Lines on standard error: one when counting begins, and one now and then."""

    def __init__(self) -> None:
        super().__init__()
        self._file = _own_stderr()
        self._what = ""
        self._total: int | None = None
        self._done = 0
        self._said_at = 0.0

    def _print(self, text: str) -> None:
        print(printable(text), file=self._file, flush=True)

    def start(self, what: str, total: int | None) -> None:
        self._what, self._total, self._done = what, total, 0
        self._said_at = time.monotonic()
        if total is not None:
            self._print(f"{what}: {total} files")

    def advance(self, n_files: int, note: str = "") -> None:
        self._done += n_files
        if time.monotonic() - self._said_at >= _PLAIN_EVERY_S:
            self._said_at = time.monotonic()
            of = f" of {self._total}" if self._total is not None else ""
            self._print(f"{self._what}: {self._done}{of} files{note and ', ' + note}")


class Bar(Progress):
    """A bar on the terminal's standard error."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console

        self._console = Console(file=_own_stderr(), highlight=False)
        self._progress: Any = None
        self._task: Any = None

    def step(self, name: str) -> None:
        if name != "cluster":
            return
        from rich.progress import Progress, TextColumn, TimeElapsedColumn

        # Workers compile kernels at the first run: half a minute without a word looks stuck.
        self.stop()
        columns = [TextColumn("{task.description}"), TimeElapsedColumn()]
        self._progress = Progress(*columns, console=self._console, transient=True)
        self._progress.start()
        self._progress.add_task("starting workers", total=None)

    def start(self, what: str, total: int | None) -> None:
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
        if self._progress is not None:
            fields = {"note": note} if note else {}
            self._progress.update(self._task, advance=n_files, **fields)

    def stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class Notebook(Progress):
    """A bar below a notebook's cell."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: NotebookBar | None = None

    def start(self, what: str, total: int | None) -> None:
        self.stop()
        self._bar = NotebookBar(what, total)

    def advance(self, n_files: int, note: str = "") -> None:
        if self._bar is not None:
            self._bar.advance(n_files, note)

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def progress_for_terminal(*, quiet: bool) -> Observer:
    """Return a bar where standard error is a terminal or a notebook, plain lines elsewhere."""
    if quiet:
        return ignore
    if in_notebook():
        return Notebook()
    return Bar() if sys.stderr.isatty() else Plain()
