"""The runs of a table: their names, their summaries (run.json) and their logs (log.jsonl)."""

from __future__ import annotations

import datetime
import getpass
import json
import os
import re
import socket
import uuid
from collections.abc import Sequence
from typing import Any

from jobs.storage.base import Store
from jobs.storage.local import LocalStore
from jobs.storage.parallel import in_threads, requests_at_once
from jobs.table.layout import RUNS

_RECORD = re.compile(rf"{RUNS}/(?P<run>[^/]+)/(run\.json|log(-\d+)?\.jsonl)")


def new_run_id() -> str:
    """Return a new name for a run; names sort by time."""
    now = datetime.datetime.now(datetime.UTC)
    return f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z-{uuid.uuid4().hex[:6]}"


def time_of(run_id: str) -> datetime.datetime | None:
    """Return when a run began, from its name; None if it is not one of `new_run_id`."""
    try:
        when = datetime.datetime.strptime(run_id.partition("Z")[0], "%Y%m%dT%H%M%S.%f")
    except ValueError:
        return None
    return when.replace(tzinfo=datetime.UTC)


def without_secrets(text: str, secrets: Sequence[str]) -> str:
    """Return a text in which ``***`` replaces every secret."""
    for secret in secrets:
        for form in (secret, json.dumps(secret)[1:-1]):
            text = text.replace(form, "***")
    return text


def write_summary(store: Store, run_id: str, secrets: Sequence[str], **values: Any) -> None:
    """Write the run.json of a run, with the user and the machine of this process."""
    own = {"run_id": run_id, "user": _user(), "host": socket.gethostname()}
    text = json.dumps({**own, **values}, default=str, indent=1)
    store.replace(f"{RUNS}/{run_id}/run.json", without_secrets(text, secrets).encode())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container the number has no name
        return str(os.getuid())


def utc_now() -> str:
    """Return the time now, as logs and summaries have it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


class LogFile:
    """The log of a run: a file that grows, or numbered pieces where files cannot be appended to.

    Parameters
    ----------
    store : Store
        Store of the table.
    run_id : str
        Name of the run.

    Attributes
    ----------
    grows : bool
        Whether the log is one file; otherwise each `append` writes a piece.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self._folder = f"{RUNS}/{run_id}"
        self._n_pieces = 0
        self.grows = isinstance(store, LocalStore)

    def append(self, data: bytes) -> None:
        """Append lines to the log; nothing that was written before is written again.

        Raises
        ------
        OSError
            If the storage fails. Then nothing is appended.
        """
        if isinstance(self._store, LocalStore):
            self._store.append(f"{self._folder}/log.jsonl", data)
            return
        self._store.replace(f"{self._folder}/log-{self._n_pieces:05}.jsonl", data)
        self._n_pieces += 1


def run_ids(store: Store) -> list[str]:
    """Return the names of the runs that have left a summary, oldest first."""
    names = []
    try:
        for page in store.scan(RUNS):
            names += [e.name.split("/")[-2] for e in page if e.name.endswith("/run.json")]
    except FileNotFoundError:
        return []
    return sorted(names)


def read_summaries(store: Store, runs: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Return the run.json of all runs, or of some; skip files that cannot be read.

    Parameters
    ----------
    store : Store
        Store of the table.
    runs : sequence of str, optional
        Names of the runs, as from `run_ids`; by default all, oldest first.
    """

    def read(run_id: str) -> dict[str, Any] | None:
        try:
            return json.loads(store.read(f"{RUNS}/{run_id}/run.json")[0])
        except (FileNotFoundError, ValueError):
            return None

    runs = run_ids(store) if runs is None else runs
    found = in_threads(read, runs, requests_at_once(store))
    return [summary for summary in found if summary is not None]


def last_summaries(store: Store, runs: Sequence[str], n: int) -> list[dict[str, Any]]:
    """Return the run.json of the last `n` runs that have one that can be read, oldest first."""
    summaries: list[dict[str, Any]] = []
    end = len(runs)
    while end > 0 and len(summaries) < n:
        start = max(0, end - (n - len(summaries)))
        summaries = read_summaries(store, runs[start:end]) + summaries
        end = start
    return summaries


def delete_old_runs(store: Store, run_id: str, keep_runs: int, keep_days: float) -> None:
    """Delete summaries and logs of old runs. Call only while holding the write lock.

    Kept are runs that have staged files, since other runs may use these; and the last completed
    one, since staged files from before it are not used where all files are extracted again.

    Parameters
    ----------
    store : Store
        Store of the table.
    run_id : str
        Name of this run, which counts as kept.
    keep_runs : int
        Number of runs to keep.
    keep_days : float
        Age from which others are deleted too [days].

    Raises
    ------
    OSError
        If the storage fails.
    """
    records, staging = _records_by_run(store)
    others = sorted(records.keys() - {run_id}, reverse=True)
    old = [
        other
        for n_later, other in enumerate(others, start=1)
        if other not in staging and (n_later >= keep_runs or _age_days(other) > keep_days)
    ]
    last_done = _last_done(store, others) if old else None
    names = [name for other in old if other != last_done for name in records[other]]
    if names:
        store.delete(names)
        store.delete_empty_folders(RUNS)


def _records_by_run(store: Store) -> tuple[dict[str, list[str]], set[str]]:
    """Return the names of summaries and logs by run, and the runs that have other files."""
    records: dict[str, list[str]] = {}
    staging = set()
    for page in store.scan(RUNS):
        for entry in page:
            if found := _RECORD.fullmatch(entry.name):
                records.setdefault(found["run"], []).append(entry.name)
            else:
                staging.add(entry.name.removeprefix(f"{RUNS}/").partition("/")[0])
    return records, staging


def _age_days(run_id: str) -> float:
    began = time_of(run_id)
    age = datetime.timedelta() if began is None else datetime.datetime.now(datetime.UTC) - began
    return age / datetime.timedelta(days=1)


def _last_done(store: Store, runs: Sequence[str]) -> str | None:
    """Return the first of `runs` that was completed; None if there is none."""
    for run_id in runs:
        for summary in read_summaries(store, [run_id]):
            if summary["report"]["status"] == "done":
                return run_id
    return None
