"""Show the progress of a run: a bar on a terminal or in a notebook, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, TextIO

from featurelib.progress import NotebookBar, in_notebook
from jobs.diagnostics.events import (
    Compiling,
    Counted,
    CountEnded,
    CountStarted,
    Event,
    Observer,
    Planned,
    RunEnded,
    Serving,
    ShardDone,
    StepEnded,
    StepStarted,
    Waiting,
    Workers,
    ignore,
)
from jobs.diagnostics.remaining import Remaining

_PLAIN_EVERY_S = 30.0
_REFRESHED_A_SECOND = 4


def printable(text: str) -> str:
    """Escape control characters, so that a file name cannot control the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


#: What is shown while a step has no count of files.
_WORDS = {
    "list": "listing",
    "plan": "planning",
    "cluster": "starting workers",
    "extract": "extracting",
    "merge": "publishing",
    "verify": "verifying",
    "clean": "cleaning up",
}
_COMPILING = "compiling, once a machine"


def duration(seconds: float) -> str:
    """Return a duration as text: 0:05, 12:34, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Progress:
    """Observer that follows a run; subclasses show its state.

    Attributes
    ----------
    what : str
        What is done now.
    unit : str
        What is counted; empty if nothing is.
    total : int, optional
        The number at the end of the count, if it is known.
    done : int
        The number that is counted so far.
    n_failed : int
        Number of files that failed.
    remaining : Remaining, optional
        Expected time until the end of the count.
    """

    def __init__(self) -> None:
        self.what, self.unit = "starting", ""
        self.total: int | None = None
        self.done = self.n_failed = 0
        self.remaining: Remaining | None = None
        self._is_short = False  # of workers, as told last
        self._since = time.monotonic()
        self._before = self.what

    def __call__(self, event: Event) -> None:
        """Show an event."""
        match event:
            case StepStarted(step):
                self._begin(_WORDS.get(step, step))
            case StepEnded("extract"):
                self._begin("stopping workers")
            case Planned():
                self.n_failed = sum(event.reused_failures.values())
            case Compiling(n_done, n_kernels):
                if self.what != _COMPILING:
                    self._before = self.what
                if self.what != _COMPILING or self.total != (n_kernels or None):
                    self._begin(_COMPILING, "kernels", n_kernels or None)
                self._advance(n_done - self.done)
                if n_kernels and n_done == n_kernels:
                    self._begin(self._before)
            case CountStarted(what, total, guesses, n_workers):
                remaining = None if total is None else Remaining(guesses, n_workers)
                self._begin(what, "files", total, remaining)
            case Counted(n_files):
                self._advance(n_files)
            case ShardDone(result):
                self.n_failed += len(result.failures)
                if self.remaining is not None:
                    self.remaining.add(result)
                self._advance(event.n_files)
            case Workers(n_workers, n_wanted):
                if self.remaining is not None:
                    self.remaining.n_workers = n_workers
                if n_workers < n_wanted or self._is_short:
                    self.tell(f"workers: {n_workers} of {n_wanted}")
                self._is_short = n_workers < n_wanted
            case Waiting(what_for):
                self.tell(f"waiting: {what_for}")
            case Serving(what, url):
                self.tell(f"{what}: {url}")
            case CountEnded():
                if self.remaining is not None:
                    self.remaining.end()
                self._end()
            case RunEnded():
                self.close()

    def _begin(
        self,
        what: str,
        unit: str = "",
        total: int | None = None,
        remaining: Remaining | None = None,
    ) -> None:
        self._end()
        self.what, self.unit, self.total, self.remaining = what, unit, total, remaining
        self.done, self._since = 0, time.monotonic()
        self.start()

    def _end(self) -> None:
        if self.unit:
            self.stop()
            self.unit, self.total = "", None

    def _advance(self, n: int) -> None:
        self.done += n
        self.advance(n)

    def note(self, *more: str) -> list[str]:
        """Return texts that follow a count: failures, more texts, and the time that is left."""
        found = [f"{self.n_failed} failed"] if self.n_failed and self.remaining else []
        left = self.remaining.seconds if self.remaining is not None else None
        return [*found, *more, *([] if left is None else [f"{duration(left)} left"])]

    def start(self) -> None:
        """Show that something begins."""

    def advance(self, n: int) -> None:
        """Show that `n` more are counted."""

    def tell(self, text: str) -> None:
        """Show a line of text."""

    def stop(self) -> None:
        """End the count."""

    def close(self) -> None:
        """End the display."""


def own_stderr() -> TextIO:
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
        self._file = own_stderr()
        self._printing = threading.Lock()
        self._ended = threading.Event()
        self._printed_at = self._since
        threading.Thread(target=self._print_now_and_then, name="progress", daemon=True).start()

    def _print(self, text: str) -> None:
        # a full disk behind standard error ends no run
        with self._printing, contextlib.suppress(OSError):
            if self._ended.is_set():  # by the other thread, a moment ago
                return
            self._printed_at = time.monotonic()
            print(printable(text), file=self._file, flush=True)

    def _print_now_and_then(self) -> None:
        while True:
            waiting = self._printed_at + _PLAIN_EVERY_S - time.monotonic()
            if self._ended.wait(max(waiting, _PLAIN_EVERY_S / 100)):
                return
            if time.monotonic() - self._printed_at >= _PLAIN_EVERY_S:
                with contextlib.suppress(OSError, ValueError):  # nobody reads any more
                    self._print(self._state())

    def _state(self) -> str:
        """Return the present state in one line."""
        if not self.unit:
            return f"{self.what}: {duration(time.monotonic() - self._since)}"
        total = "" if self.total is None else f" of {self.total}"
        return ", ".join([f"{self.what}: {self.done}{total} {self.unit}", *self.note()])

    def start(self) -> None:
        """Print the name and total of a count."""
        if self.total is not None:
            self._print(f"{self.what}: {self.total} {self.unit}")

    def tell(self, text: str) -> None:
        """Print a line of text."""
        self._print(text)

    def close(self) -> None:
        """Print nothing more."""
        with self._printing:
            self._ended.set()


class Bar(Progress):
    """Progress as a line on a terminal: a bar, or a clock if there is no total."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=own_stderr(), highlight=False)
        self._live = Live(
            get_renderable=self._line,
            console=self._console,
            refresh_per_second=_REFRESHED_A_SECOND,
            transient=True,
        )
        self._live.start()

    def _line(self) -> Any:
        """Return the present state, for each refresh."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        clock = duration(time.monotonic() - self._since)
        grid = Table.grid(padding=(0, 1), expand=self.total is not None)
        grid.add_column(no_wrap=True)
        if self.total is None:
            count = f" {self.done} {self.unit}" if self.unit and self.done else ""
            grid.add_row(Text(f"{self.what}{count} {clock}"))
            return grid
        grid.add_column(ratio=1)
        grid.add_column(no_wrap=True)
        state = " ".join([f"{self.done}/{self.total}", *self.note(clock)])
        grid.add_row(Text(self.what), ProgressBar(self.total, self.done), Text(state))
        return grid

    def stop(self) -> None:
        """Leave the bar of the files on the terminal."""
        if self.unit == "files" and self.total is not None:
            self._console.print(self._line())

    def tell(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(printable(text), markup=False)

    def close(self) -> None:
        """Remove the line."""
        self._live.stop()


class Notebook(Progress):
    """Progress as a bar below a notebook cell."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: NotebookBar | None = None

    def start(self) -> None:
        """Show a new bar."""
        if self.unit:
            self._bar = NotebookBar(self.what, self.total)

    def advance(self, n: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.advance(n, ", ".join(self.note()))

    def stop(self) -> None:
        """Finish the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


@contextlib.contextmanager
def progress_for_terminal(*, quiet: bool) -> Iterator[Observer]:
    """Context manager for a bar if standard error is a terminal or a notebook, else plain lines."""
    if quiet:
        yield ignore
        return
    kind = Notebook if in_notebook() else Bar if sys.stderr.isatty() else Plain
    progress: Progress = kind()
    try:
        yield progress
    finally:
        progress.close()
