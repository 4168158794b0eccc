"""The log of a run (log.jsonl): one JSON object per line for each event."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from jobs.diagnostics.events import (
    BucketCommitted,
    Conflict,
    Event,
    Note,
    Planned,
    Relocated,
    Repartitioned,
    Retried,
    RunEnded,
    RunStarted,
    Serving,
    ShardDone,
    StepEnded,
    Waiting,
    Workers,
)
from jobs.errors import ENVIRONMENT_KINDS
from jobs.storage.base import Store
from jobs.table.changes import Change
from jobs.table.history import LogFile, utc_now, without_secrets

if TYPE_CHECKING:
    from jobs.execution.results import ShardResult

#: A larger log gets no more lines about single files and shards.
MAX_BYTES = 16 * 2**20

#: Levels of lines, as in Python's logging.
INFO, WARNING, ERROR = "info", "warning", "error"

_FLUSH_AFTER_S = 30.0
_PIECE_SHARE = 0.05


class LogLines:
    """Makes the lines of a log; ``***`` replaces secrets.

    Parameters
    ----------
    run_id : str, optional
        Name of the run, if it is known.
    secrets : sequence of str
        Values that must not appear in the log.

    Attributes
    ----------
    run_id, secrets
        As above; may be set.
    """

    def __init__(self, run_id: str | None = None, secrets: Sequence[str] = ()) -> None:
        self.run_id, self.secrets = run_id, secrets
        self._host = socket.gethostname()

    def of(self, event: Event) -> list[str]:
        """Return the lines of an event."""
        if isinstance(event, ShardDone):
            result = event.result
            where = {"host": result.host or self._host, "worker": result.worker}
            return [self.line(**line, **where, shard=result.shard) for line in _shard_lines(result)]
        values = _line(event)
        return [] if values is None else [self.line(**values)]

    def line(self, **values: Any) -> str:
        """Return a line with some values, and those that every line has."""
        common = {"time": utc_now(), "level": INFO, "run": self.run_id, "host": self._host}
        line = json.dumps({**common, "worker": None, "shard": None, **values}, default=str)
        return without_secrets(line, self.secrets)


class RunLog:
    """Observer that writes the log of a run.

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
        self._file = LogFile(store, run_id)
        self._lines = LogLines(run_id, secrets)
        self._turn = threading.RLock()
        self._waiting: list[str] = []
        self._n_bytes = 0
        self._n_dropped = 0
        self._started_at = self._flushed_at = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Log an event; threads may call this at once."""
        with self._turn:
            lines = self._lines.of(event)
            if isinstance(event, ShardDone) and self._n_bytes > MAX_BYTES:
                self._n_dropped += len(lines)
            else:
                self._add(lines)
            if isinstance(event, RunEnded) and self._n_dropped:
                self._add([self._lines.line(**_dropped_line(self._n_dropped))])
                self._n_dropped = 0

    def _add(self, lines: list[str]) -> None:
        self._waiting += lines
        self._n_bytes += sum(map(len, lines))
        if time.monotonic() - self._flushed_at > self._flush_after_s():
            self.flush()

    def _flush_after_s(self) -> float:
        if self._file.grows:
            return _FLUSH_AFTER_S
        # a run of a day has about a hundred pieces, not thousands
        return max(_FLUSH_AFTER_S, _PIECE_SHARE * (time.monotonic() - self._started_at))

    def flush(self) -> None:
        """Append the new lines to the log, if there are any."""
        with self._turn:
            self._flushed_at = time.monotonic()
            if self._waiting:
                self._file.append("".join(f"{line}\n" for line in self._waiting).encode())
                self._waiting = []


class JsonLog:
    """Observer that writes the lines of a log to a text file, such as standard error.

    It leaves the reason why nothing was published to whoever reports it (`add`).

    Parameters
    ----------
    file : text file
        Where the lines go.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lines = LogLines()
        self._turn = threading.Lock()

    def hide(self, secrets: Sequence[str]) -> None:
        """Replace values by ``***`` from now on."""
        self._lines.secrets = secrets

    def __call__(self, event: Event) -> None:
        """Write the lines of an event; threads may call this at once."""
        match event:
            case RunStarted(run_id=run_id):
                self._lines.run_id = run_id
            case RunEnded(error=error, reason=reason) if error is not None or reason:
                return
        self._write(self._lines.of(event))

    def add(self, **values: Any) -> None:
        """Write a line."""
        self._write([self._lines.line(**values)])

    def _write(self, lines: list[str]) -> None:
        # a full disk behind standard error ends no run
        with self._turn, contextlib.suppress(OSError):
            self._file.write("".join(f"{line}\n" for line in lines))
            self._file.flush()


def _line(event: Event) -> dict[str, Any] | None:
    """Return the values of an event's line; None for events that are not logged."""
    match event:
        case RunStarted():
            values = {name: value for name, value in vars(event).items() if name != "run_id"}
            return {"event": "start", **values}
        case Note(text):
            return {"level": WARNING, "event": "note", "text": text}
        case Serving(what, url):
            return {"event": "serving", "what": what, "url": url}
        case Waiting(what_for):
            return {"level": WARNING, "event": "waiting", "text": what_for}
        case Retried(counts):
            return {"level": WARNING, "event": "retries", "counts": counts}
        case Workers():
            return {"event": "workers", **vars(event)}
        case StepEnded(step, seconds):
            return {"event": "step", "step": step, "seconds": round(seconds, 3)}
        case Planned():
            counts = {change.value: event.counts.get(change, 0) for change in Change}
            return {"event": "plan", "counts": counts, "surplus": event.n_surplus}
        case Conflict(bucket, message):
            return {"level": WARNING, "event": "conflict", "bucket": bucket, "message": message}
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
            return {
                "level": ERROR,
                "event": "failed",
                "error": type(error).__name__,
                "message": str(error),
            }
        case RunEnded(status, reason):
            why = {"level": WARNING, "reason": reason} if reason else {}
            return {"event": "end", "status": status, **why}
        case Relocated(report):
            return {"event": "relocated", **report}
        case Repartitioned(report):
            return {"event": "repartitioned", **report}
    return None


def _dropped_line(n_lines: int) -> dict[str, Any]:
    return {"level": WARNING, "event": "dropped", "lines": n_lines}


def _shard_lines(result: ShardResult) -> Iterator[dict[str, Any]]:
    for failure in result.failures:
        details = {"details": failure.details} if failure.details else {}
        yield {
            "level": ERROR if failure.kind in ENVIRONMENT_KINDS else WARNING,
            "event": "error",
            "path": failure.path,
            "kind": failure.kind,
            "message": failure.message,
            **details,
        }
    for path, sign in result.signs:
        yield {"level": WARNING, "event": "sign", "path": path, "sign": sign}
    for path, text in result.native_output:
        yield {"level": WARNING, "event": "decoder", "path": path, "text": text}
    retries = {"retries": result.retries} if result.retries else {}
    yield {
        "event": "shard",
        "bucket": result.bucket,
        "files": result.n_files,
        "rows": result.n_rows,
        "errors": len(result.failures),
        "seconds": round(result.seconds, 3),
        "audio_s": round(result.audio_s, 3),
        "bytes": result.n_bytes,
        **retries,
    }
