"""What a run leaves to be read later: run.json and log.jsonl in its folder."""

from __future__ import annotations

import datetime
import json
import time
import uuid
from collections.abc import Sequence
from typing import Any

from jobs.storage.base import Store
from jobs.table.layout import RUNS

MAX_BYTES = 16 * 2**20
"""Beyond so many bytes of it, only what a run says of itself still goes into its log."""

_OWN_EVENTS = frozenset({"start", "note", "step", "plan", "conflict", "merged", "failed"})
_FLUSH_AFTER_S = 30.0


def new_run_id() -> str:
    """Return a name for a run; names sort by time."""
    now = datetime.datetime.now(datetime.UTC)
    return f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z-{uuid.uuid4().hex[:6]}"


class RunLog:
    """A run's log: lines of JSON, and a summary. Secrets are struck out.

    Parameters
    ----------
    store : Store
        The table's place.
    run_id : str
        The run.
    secrets : sequence of str
        Values that must not appear.
    """

    def __init__(self, store: Store, run_id: str, secrets: Sequence[str] = ()) -> None:
        self.run_id = run_id
        self._store = store
        self._folder = f"{RUNS}/{run_id}"
        self._secrets = secrets
        self._lines: list[str] = []
        self._n_bytes = 0
        self._n_dropped = 0
        self._flushed_at = time.monotonic()
        self._n_flushed = 0

    def redact(self, text: str) -> str:
        """Return a text without the secrets."""
        for secret in self._secrets:
            for written in (secret, json.dumps(secret)[1:-1]):
                text = text.replace(written, "***")
        return text

    def write(self, event: str, **values: Any) -> None:
        """Add a line; of files and shards, only while the log is short enough."""
        if self._n_bytes > MAX_BYTES and event not in _OWN_EVENTS:
            self._n_dropped += 1
            return
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "event": event, **values}, default=str)
        self._lines.append(self.redact(line))
        self._n_bytes += len(line)
        if time.monotonic() - self._flushed_at > _FLUSH_AFTER_S:
            self.flush()

    def flush(self) -> None:
        """Bring the lines to the table's place."""
        self._flushed_at = time.monotonic()
        if self._n_flushed == len(self._lines):
            return
        lines = [*self._lines]
        if self._n_dropped:
            lines.append(json.dumps({"event": "dropped", "lines": self._n_dropped}))
        self._store.replace(f"{self._folder}/log.jsonl", ("\n".join(lines) + "\n").encode())
        self._n_flushed = len(self._lines)

    def summary(self, **values: Any) -> None:
        """Write run.json."""
        text = json.dumps({"run_id": self.run_id, **values}, default=str, indent=1)
        self._store.replace(f"{self._folder}/run.json", self.redact(text).encode())


def read_summaries(store: Store) -> list[dict[str, Any]]:
    """Return the run.json of every run, oldest first; one that cannot be read is left out."""
    names = []
    try:
        for page in store.scan(RUNS):
            names += [e.name for e in page if e.name.endswith("/run.json")]
    except FileNotFoundError:
        return []
    summaries = []
    for name in sorted(names):
        try:
            summaries.append(json.loads(store.read(name)[0]))
        except (FileNotFoundError, ValueError):
            continue
    return summaries
