"""The log of a run (log.jsonl): one JSON object per line for each event."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from jobs.diagnostics.events import (
    BucketCommitted,
    Conflict,
    Event,
    Note,
    Planned,
    Relocated,
    RunEnded,
    RunStarted,
    ShardDone,
    StepEnded,
    Waiting,
)
from jobs.storage.base import Store
from jobs.table.changes import Change
from jobs.table.history import without_secrets
from jobs.table.layout import RUNS

if TYPE_CHECKING:
    from jobs.execution.results import ShardResult

#: A larger log gets no more lines about single files and shards.
MAX_BYTES = 16 * 2**20

_FLUSH_AFTER_S = 30.0


class RunLog:
    """Observer that writes the log of a run; ``***`` replaces secrets.

    Parameters
    ----------
    store : Store
        Store of the table.
    run_id : str
        Name of the run.
    secrets : sequence of str
        Values that must not appear in the log.
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

    def __call__(self, event: Event) -> None:
        """Log an event."""
        if isinstance(event, ShardDone):
            lines = list(_shard_lines(event.result))
            if self._n_bytes > MAX_BYTES:
                self._n_dropped += len(lines)
                return
            for line in lines:
                self._add(**line)
        elif (values := _line(event)) is not None:
            self._add(**values)

    def _add(self, **values: Any) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, **values}, default=str)
        self._lines.append(without_secrets(line, self._secrets))
        self._n_bytes += len(line)
        if time.monotonic() - self._flushed_at > _FLUSH_AFTER_S:
            self.flush()

    def flush(self) -> None:
        """Write the log file if there are new lines."""
        self._flushed_at = time.monotonic()
        if self._n_flushed == len(self._lines):
            return
        lines = [*self._lines]
        if self._n_dropped:
            lines.append(json.dumps({"event": "dropped", "lines": self._n_dropped}))
        self._store.replace(f"{self._folder}/log.jsonl", ("\n".join(lines) + "\n").encode())
        self._n_flushed = len(self._lines)


def _line(event: Event) -> dict[str, Any] | None:
    """Return the values of an event's line; None for events that are not logged."""
    match event:
        case RunStarted():
            return {"event": "start", **vars(event)}
        case Note(text):
            return {"event": "note", "text": text}
        case Waiting(what_for):
            return {"event": "waiting", "text": what_for}
        case StepEnded(step, seconds):
            return {"event": "step", "step": step, "seconds": round(seconds, 3)}
        case Planned():
            counts = {change.value: event.counts.get(change, 0) for change in Change}
            return {"event": "plan", "counts": counts, "surplus": event.n_surplus}
        case Conflict(bucket, message):
            return {"event": "conflict", "bucket": bucket, "message": message}
        case BucketCommitted():
            return {
                "event": "merged",
                "bucket": event.bucket,
                "files": event.n_files,
                "rows": event.n_rows,
                "errors": event.n_errors,
                "parts": event.parts,
            }
        case RunEnded(error=error) if error is not None:
            return {"event": "failed", "error": type(error).__name__, "message": str(error)}
        case Relocated(report):
            return {"event": "relocated", **report}
    return None


def _shard_lines(result: ShardResult) -> Iterator[dict[str, Any]]:
    for failure in result.failures:
        details = {"details": failure.details} if failure.details else {}
        yield {
            "event": "error",
            "path": failure.path,
            "kind": failure.kind,
            "message": failure.message,
            **details,
        }
    for path, sign in result.signs:
        yield {"event": "sign", "path": path, "sign": sign}
    for path, text in result.native_output:
        yield {"event": "decoder", "path": path, "text": text}
    yield {
        "event": "shard",
        "bucket": result.bucket,
        "files": result.n_files,
        "rows": result.n_rows,
        "errors": len(result.failures),
        "seconds": round(result.seconds, 3),
    }
