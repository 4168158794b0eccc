"""The runs that made a table: when, what they did, how fast they were."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: Steps of a run that only begin when it is known what there is to extract.
_WORKING = "extract"

#: Most runs that are shown, the last ones.
N_RUNS = 20


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes
    ----------
    run_id : str
        Name of the run.
    started : str
        When it began, in UTC; the name of the run if that says no time.
    status : str
        How it ended.
    n_read : int
        Number of files that were read.
    n_failed : int
        Number of those that have no features.
    n_deleted : int
        Number of files that have left the table.
    seconds : float
        Duration of the run [s].
    extract_s : float
        Duration of its extraction [s].
    files_per_s : float or None
        Files read for each second of extraction; None if none was read.
    code : str
        Version of the software.
    """

    run_id: str
    started: str
    status: str
    n_read: int
    n_failed: int
    n_deleted: int
    seconds: float
    extract_s: float
    files_per_s: float | None
    code: str


def runs_of(summaries: Sequence[dict[str, Any]]) -> list[Run]:
    """Return the runs of a table, in the order of their summaries.

    Parameters
    ----------
    summaries : sequence of dict
        As `jobs.table.history.read_summaries` returns them. What is missing in one, as after a
        crash, is 0.
    """
    return [_run(summary) for summary in summaries]


def _run(summary: dict[str, Any]) -> Run:
    report = summary.get("report") or {}
    seconds = report.get("seconds") or {}
    extract_s = float(seconds.get(_WORKING, 0.0))
    n_read = int(report.get("read", 0))
    run_id = str(summary.get("run_id", ""))
    return Run(
        run_id=run_id,
        started=started(run_id),
        status=str(report.get("status", "unknown")),
        n_read=n_read,
        n_failed=sum((report.get("failed") or {}).values()),
        n_deleted=int((report.get("planned") or {}).get("deleted", 0)),
        seconds=float(sum(seconds.values())),
        extract_s=extract_s,
        files_per_s=n_read / extract_s if n_read and extract_s else None,
        code=str(summary.get("code", "")),
    )


def started(run_id: str) -> str:
    """Return when a run began, from its name.

    Examples
    --------
    >>> started("20261127T001313.908Z-a525bc")
    '2026-11-27 00:13:13 UTC'
    """
    try:
        when = datetime.datetime.strptime(run_id.partition(".")[0], "%Y%m%dT%H%M%S")
    except ValueError:
        return run_id
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"
