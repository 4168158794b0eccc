"""The history of a table: when its runs began, how they ended, what they did, how fast."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from jobs.preflight import table_errors
from jobs.storage.base import Store
from jobs.storage.opening import open_store
from jobs.table.history import last_summaries, run_ids, time_of
from jobs.table.lock import running_run
from jobs.table.reader import open_table

#: Status of a run whose driver ended without a word: SIGKILL, a power failure, a full disk.
KILLED = "killed"

_COLUMNS = (
    *("started (UTC)", "took", "status", "exit", "new", "changed", "retried", "deleted", "failed"),
    *("audio h", "files/s", "x real time", "by", "run"),
)
_TEXTS = {"started (UTC)", "status", "by", "run"}


@dataclass(frozen=True)
class Run:
    """One run. What an older or killed run has not recorded is None, or 0 for counts.

    Attributes
    ----------
    run_id : str
        Name of the run.
    started, ended : datetime, optional
        When it held the write lock, and when it ended.
    seconds : float, optional
        Duration [s].
    status : str
        ``done``, ``held``, ``interrupted``, ``failed``, ``running``, ``killed`` or ``relocated``.
    exit_code : int, optional
        Exit code of the command.
    reason : str
        Why it did not end as ``done``.
    n_new, n_changed, n_retried, n_deleted : int
        Number of files that it planned to extract for the first time, extract again, try again
        after a failure, and delete.
    n_read : int
        Number of files that were extracted by it or by an interrupted run.
    n_failed : int
        Number of those that have no features.
    audio_s : float, optional
        Duration of the audio that was decoded [s].
    extract_s : float
        Duration of the extraction [s].
    files_per_s : float, optional
        Files extracted per second of extraction; None if there were none.
    real_time_factor : float, optional
        Seconds of audio decoded per second of extraction.
    user, host : str
        Who ran it, and on which machine the driver was.
    code : str
        Version of the software.
    """

    run_id: str
    started: datetime.datetime | None
    ended: datetime.datetime | None
    seconds: float | None
    status: str
    exit_code: int | None
    reason: str
    n_new: int
    n_changed: int
    n_retried: int
    n_deleted: int
    n_read: int
    n_failed: int
    audio_s: float | None
    extract_s: float
    files_per_s: float | None
    real_time_factor: float | None
    user: str
    host: str
    code: str

    @property
    def when(self) -> str:
        """When it began, for people; the name of the run if that is not known."""
        return f"{self.started:%Y-%m-%d %H:%M:%S} UTC" if self.started else self.run_id

    def to_dict(self) -> dict[str, Any]:
        """Return the run as a dictionary for JSON, with times as ISO 8601 texts."""
        values = (getattr(self, field.name) for field in fields(self))
        return {
            name: value.isoformat(timespec="milliseconds")
            if isinstance(value, datetime.datetime)
            else value
            for name, value in zip(NAMES, values, strict=True)
        }


#: Names in `Run.to_dict`, which are those of the columns of a CSV file.
NAMES = tuple(field.name.removeprefix("n_") for field in fields(Run))


def table_runs(location: str, options: dict[str, Any], last: int | None = None) -> list[Run]:
    """Return the runs of a table, oldest first.

    Parameters
    ----------
    location : str
        Location of the table.
    options : dict
        Storage options for fsspec.
    last : int, optional
        Return at most this number of runs, the last ones.

    Raises
    ------
    TableError
        If there is no table, or it cannot be read.
    """
    store = open_store(location, options)
    with table_errors(store.url):
        runs = runs_in(store, last)  # also of runs that failed before there was a table
        if not runs:
            open_table(location, options)
    return runs


def runs_in(store: Store, last: int | None = None) -> list[Run]:
    """Return the runs, or the last ones, of the table in a store, oldest first."""
    names = run_ids(store)
    summaries = last_summaries(store, names, len(names) if last is None else last)
    mark_killed(summaries, store)
    return runs_of(summaries)


def mark_killed(summaries: Sequence[dict[str, Any]], store: Store) -> None:
    """Correct the status of runs whose driver died before it could write it."""
    unfinished = [run for run in summaries if run.get("report", {}).get("status") == "running"]
    if not unfinished:
        return
    try:
        holder = running_run(store)
    except OSError:
        return
    for run in unfinished:
        if holder not in (None, run["run_id"]):
            run["report"]["status"] = KILLED


def runs_of(summaries: Sequence[dict[str, Any]]) -> list[Run]:
    """Return the runs of a table, in the order of their summaries.

    Parameters
    ----------
    summaries : sequence of dict
        As `jobs.table.history.read_summaries` returns them.
    """
    return [_run(summary) for summary in summaries]


def _run(summary: dict[str, Any]) -> Run:
    report = summary.get("report") or {}
    steps = report.get("seconds") or {}
    planned = report.get("planned") or {}
    run_id = str(summary.get("run_id", ""))
    started = _time(summary.get("started")) or time_of(run_id)
    ended = _time(summary.get("ended"))
    extract_s = float(steps.get("extract", 0.0))
    n_read, audio_s = int(report.get("read", 0)), report.get("audio_s")
    n_extracted = n_read - int(report.get("reused", 0))
    return Run(
        run_id=run_id,
        started=started,
        ended=ended,
        seconds=_seconds(started, ended, steps),
        status=str(report.get("status", "unknown")),
        exit_code=report.get("exit_code"),
        reason=str(report.get("reason", "")),
        n_new=int(planned.get("new", 0)),
        n_changed=int(planned.get("changed", 0)),
        n_retried=int(planned.get("retry", 0)),
        n_deleted=int(planned.get("deleted", 0)),
        n_read=n_read,
        n_failed=sum((report.get("failed") or {}).values()),
        audio_s=audio_s,
        extract_s=extract_s,
        files_per_s=n_extracted / extract_s if n_extracted and extract_s else None,
        real_time_factor=audio_s / extract_s if audio_s and extract_s else None,
        user=str(summary.get("user", "")),
        host=str(summary.get("host", "")),
        code=str(summary.get("code", "")),
    )


def _time(text: str | None) -> datetime.datetime | None:
    return datetime.datetime.fromisoformat(text) if text else None


def _seconds(
    started: datetime.datetime | None, ended: datetime.datetime | None, steps: dict[str, float]
) -> float | None:
    if started and ended:
        return (ended - started).total_seconds()
    return float(sum(steps.values())) or None


def history_lines(runs: Sequence[Run]) -> list[str]:
    """Return a history as lines of text for people: columns, and below a run why it failed."""
    rows = [_COLUMNS, *(_cells(run) for run in runs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row, run in zip(rows, [None, *runs], strict=True):
        cells = zip(_COLUMNS, row, widths, strict=True)
        lines.append("  ".join(_aligned(*cell) for cell in cells).rstrip())
        if run is not None and run.reason:
            lines.append(f"    {run.reason}")
    return lines


def _aligned(name: str, cell: str, width: int) -> str:
    return cell.ljust(width) if name in _TEXTS else cell.rjust(width)


def _cells(run: Run) -> tuple[str, ...]:
    took = None if run.seconds is None else datetime.timedelta(seconds=round(run.seconds))
    return (
        run.when.removesuffix(" UTC"),
        _or_dash(took, ""),
        run.status,
        _or_dash(run.exit_code, ""),
        *(str(n) for n in (run.n_new, run.n_changed, run.n_retried, run.n_deleted, run.n_failed)),
        _or_dash(None if run.audio_s is None else run.audio_s / 3600, ".2f"),
        _or_dash(run.files_per_s, ".1f"),
        _or_dash(run.real_time_factor, ".0f"),
        "@".join(filter(None, (run.user, run.host))) or "-",
        run.run_id,
    )


def _or_dash(value: Any, form: str) -> str:
    return "-" if value is None else format(value, form) if form else str(value)
