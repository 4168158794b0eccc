"""Progress display: a bar on a terminal or in a notebook, plain lines elsewhere."""

from __future__ import annotations

import html
import sys
import time
from typing import Any, Protocol

_PLAIN_EVERY_S = 30.0
_NOTEBOOK_EVERY_S = 0.2


class Progress(Protocol):
    """Display of the progress of some work."""

    def advance(self, n: int) -> None:
        """Count `n` more items as done."""

    def stop(self) -> None:
        """End the display."""


class TerminalBar:
    """Progress bar on standard error, which is a terminal."""

    def __init__(self, what: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True, highlight=False),
        )
        self._bar.start()
        self._task = self._bar.add_task(what, total=total)

    def advance(self, n: int) -> None:
        self._bar.update(self._task, advance=n)

    def stop(self) -> None:
        self._bar.stop()


class NotebookBar:
    """Progress bar below a notebook cell."""

    def __init__(self, what: str, total: int | None) -> None:
        from IPython.display import HTML, display

        self._html = HTML
        self._what, self._total, self._done, self._note = what, total, 0, ""
        self._started = self._shown = time.monotonic()
        self._handle: Any = display(self._html(self._text()), display_id=True)

    def _text(self) -> str:
        count = str(self._done) if self._total is None else f"{self._done} of {self._total}"
        bar = ""
        if self._total is not None:
            bar = f'<progress value="{self._done}" max="{max(self._total, 1)}"></progress>'
        seconds = round(time.monotonic() - self._started)
        note = f", {html.escape(self._note)}" if self._note else ""
        return f"{html.escape(self._what)} {bar} {count} files{note}, {seconds} s"

    def advance(self, n: int, note: str = "") -> None:
        self._done += n
        self._note = note
        if time.monotonic() - self._shown >= _NOTEBOOK_EVERY_S:
            self._show()

    def _show(self) -> None:
        self._shown = time.monotonic()
        self._handle.update(self._html(self._text()))

    def stop(self) -> None:
        self._show()


class Lines:
    """Progress as lines on standard error: one at the start, then one every 30 s."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._said_at = time.monotonic()
        print(f"{what}: {total} files", file=sys.stderr, flush=True)

    def advance(self, n: int) -> None:
        self._done += n
        if time.monotonic() - self._said_at >= _PLAIN_EVERY_S:
            self._said_at = time.monotonic()
            print(f"{self._what}: {self._done} of {self._total} files", file=sys.stderr, flush=True)

    def stop(self) -> None:
        return


def in_notebook() -> bool:
    """Return whether this process is a notebook kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def progress(what: str, total: int) -> Progress:
    """Start a progress display for `total` files: notebook bar, terminal bar or lines.

    Parameters
    ----------
    what : str
        Description of the work.
    total : int
        Number of files.
    """
    if in_notebook():
        return NotebookBar(what, total)
    return TerminalBar(what, total) if sys.stderr.isatty() else Lines(what, total)
