"""Commands that read a table of very many rows: time and peak memory of each.

``python -m tests.benchmarks tables 200000`` takes fewer rows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.million import make_table
from tests.benchmarks.timing import in_own_process, ratio, timed
from tests.support.memory import peak_bytes

_ROWS = 1_000_000
_LABELS = 10

#: Most bytes of a page.
_PAGE_BYTES = 10_000_000


def run(folder: Path, n_rows: int = _ROWS) -> None:
    """Measure each command in a process of its own; print seconds and memory."""
    table = folder / "table"
    made = timed(lambda: make_table(table, n_rows, n_labels=_LABELS))
    print(f"a table of {n_rows} rows and {_LABELS} labels, made in {made:.1f} s")
    for name, aim_s, aim_mib in COMMANDS:
        seconds, peak = in_own_process(_run, name, table, folder)
        print(ratio(f"{name}: time [s]", seconds, f"about {aim_s}"))
        print(ratio(f"{name}: peak memory [MiB]", peak, f"at most {aim_mib}"))


def _run(name: str, table: Path, folder: Path) -> tuple[float, float]:
    """Return the seconds of a command and the peak memory [MiB]."""
    seconds = timed(lambda: _CALLS[name](table, folder))
    return seconds, peak_bytes() / 2**20


def _train(table: Path, folder: Path) -> None:
    from jobs import train_model

    train_model(table, folder / "genre.model", estimator="logistic")


def _report(table: Path, folder: Path) -> None:
    from jobs import write_report

    page = write_report(table, folder / "report.html", force=True)
    assert page.n_bytes < _PAGE_BYTES
    print(f"a page of {page.n_bytes / 1e6:.1f} MB, {len(page.findings)} findings")


_CALLS: dict[str, Callable[[Path, Path], None]] = {
    "train --estimator logistic": _train,
    "report": _report,
}

#: Names, and what is aimed at for a million rows: seconds, and MiB. The matrix has 374 MiB.
COMMANDS = [("train --estimator logistic", 120, 1500), ("report", 60, 1500)]
