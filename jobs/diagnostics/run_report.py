"""`RunReport`: the counts, times and notes of a run, collected from its events."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobs.corpus.passed_over import NOT_AUDIO, by_extension, by_reason
from jobs.diagnostics.events import (
    BucketCommitted,
    Committed,
    Event,
    Listed,
    Note,
    Planned,
    Retried,
    RunEnded,
    RunStarted,
    ShardDone,
    StepEnded,
)
from jobs.errors import (
    ENVIRONMENT_KINDS,
    EXIT_DONE,
    EXIT_HELD,
    EXIT_UNREAD,
    exit_code_of,
    message_of,
)
from jobs.storage.retry import THROTTLED
from jobs.table.changes import Change
from jobs.table.signs import sign_lines

if TYPE_CHECKING:
    from jobs.execution.task import Failure

#: If a larger share of the files vanished while they were read, the corpus itself may be gone.
_VANISHED_SHARE = 0.1


@dataclass
class RunReport:
    """The result of a run.

    Attributes
    ----------
    run_id : str
        Name of the run.
    table : str
        Location of the table.
    status : str
        ``done``, ``held`` (a limit was exceeded), ``planned`` (dry run),
        ``interrupted``, ``failed`` or ``running``.
    counts : Counter
        Number of files by planning class.
    n_surplus : int
        Number of entries that leave the table because their file has another entry.
    n_files, n_errors : int
        Number of files in the table with features, and with an error.
    n_rows : int
        Number of feature rows in the table, one or more per file.
    n_read : int
        Number of files extracted by this run or an interrupted one.
    n_reused : int
        Number of these files that were extracted by an interrupted run.
    n_joined, n_copied : int
        Number of these files that were read for some of their columns, and that were not read at
        all, because another table has the columns (``reuse``).
    failures : Counter
        Number of these files that failed, by kind.
    example : str
        Path and message of the first file that could not be read.
    signs : Counter
        Number of these files with each sign: see `jobs.table.signs`.
    passed_over : Counter
        Number of files that are not part of the corpus, by reason.
    not_audio : Counter
        Number of these files that are not audio, by extension.
    audio_s : float
        Duration of the audio that was decoded by this run [s].
    n_bytes : int
        Size of the files that were read by this run, in bytes.
    retries : Counter
        Number of requests to storage that were sent again, by kind (see `jobs.storage.retry`).
    parts_written : int
        Number of parts that were replaced.
    seconds : dict
        Wall time of each step [s].
    reason : str
        Why nothing was published: a limit, or the error that ended the run.
    notes : list of str
        Notes for the user.
    kind : str
        What is made of each file: ``features`` or ``images``.
    """

    run_id: str
    table: str
    status: str = "running"
    counts: Counter[Change] = field(default_factory=Counter)
    n_surplus: int = 0
    n_files: int = 0
    n_rows: int = 0
    n_errors: int = 0
    n_read: int = 0
    n_reused: int = 0
    n_joined: int = 0
    n_copied: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    example: str = ""
    signs: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[str] = field(default_factory=Counter)
    not_audio: Counter[str] = field(default_factory=Counter)
    audio_s: float = 0.0
    n_bytes: int = 0
    retries: Counter[str] = field(default_factory=Counter)
    parts_written: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    notes: list[str] = field(default_factory=list)
    kind: str = "features"
    _error_code: int | None = field(default=None, repr=False)

    def __call__(self, event: Event) -> None:
        """Update the report from an event."""
        match event:
            case RunStarted(run_id, table):
                self.run_id, self.table = run_id, table
            case Listed(passed_over, not_audio):
                self.passed_over, self.not_audio = Counter(passed_over), Counter(not_audio)
            case Planned() if not self.counts:  # not for the second plan after a conflict
                self.counts, self.n_surplus = Counter(event.counts), event.n_surplus
                self.n_read = self.n_reused = event.n_reused
                self.failures = Counter(event.reused_failures)
                self.signs = Counter(event.reused_signs)
            case ShardDone(result):
                self.n_read += event.n_files
                self.n_joined += result.n_joined
                self.n_copied += result.n_copied
                self.audio_s += result.audio_s
                self.n_bytes += result.n_bytes
                self.retries.update(result.retries)
                self.failures.update(result.kinds)
                self._find_example(result.failures)
                self.signs.update(sign for _, sign in result.signs)
            case Retried(counts):
                self.retries.update(counts)
            case BucketCommitted():
                self.parts_written += len(event.parts)
            case Committed(n_files, n_rows, n_errors):
                self.n_files, self.n_rows, self.n_errors = n_files, n_rows, n_errors
            case StepEnded(step, seconds):
                self.seconds[step] = self.seconds.get(step, 0.0) + seconds
            case Note(text):
                self.notes.append(text)
            case RunEnded(status, reason, error):
                self.status, self.reason = status, reason
                if error is not None:
                    self.reason, self._error_code = message_of(error), exit_code_of(error)

    @property
    def n_failed(self) -> int:
        """Number of files that failed."""
        return sum(self.failures.values())

    def _find_example(self, failures: list[Failure]) -> None:
        for failure in failures:
            if not self.example and failure.kind in ENVIRONMENT_KINDS:
                self.example = f"{failure.path}: {failure.kind}, {failure.message}"

    @property
    def n_unread(self) -> int:
        """Number of files that failed because of storage or network, and need another run.

        A file that vanished was deleted or renamed after the listing. That is normal, so such
        files count only if they are more than one and more than a tenth of the files read.
        """
        counts = {kind: self.failures[kind] for kind in ENVIRONMENT_KINDS}
        if counts["vanished"] <= max(1, _VANISHED_SHARE * self.n_read):
            counts["vanished"] = 0
        return sum(counts.values())

    @property
    def exit_code(self) -> int:
        """Exit code of the command; that of success as long as the run goes on."""
        if self._error_code is not None:
            return self._error_code
        if self.status == "held":
            return EXIT_HELD
        return EXIT_UNREAD if self.status == "done" and self.n_unread else EXIT_DONE

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a dictionary for JSON."""
        return {
            "run_id": self.run_id,
            "table": self.table,
            "status": self.status,
            "reason": self.reason,
            "exit_code": None if self.status == "running" else self.exit_code,
            "planned": {change.value: self.counts[change] for change in Change},
            "surplus": self.n_surplus,
            "files": self.n_files,
            "rows": self.n_rows,
            "errors": self.n_errors,
            "read": self.n_read,
            "reused": self.n_reused,
            "joined": self.n_joined,
            "copied": self.n_copied,
            "failed": dict(self.failures),
            "unread": self.n_unread,
            "signs": dict(self.signs),
            "passed_over": dict(self.passed_over),
            "not_audio": dict(self.not_audio),
            "audio_s": round(self.audio_s, 3),
            "bytes": self.n_bytes,
            "retries": dict(self.retries),
            "parts_written": self.parts_written,
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "notes": self.notes,
        }

    def plan_lines(self) -> list[str]:
        """Return lines of text about the plan, for people."""
        words = {
            Change.NEW: "new",
            Change.CHANGED: "changed",
            Change.RETRY: "failed before, tried again",
            Change.RELABELLED: "with another label or carried column",
            Change.UNCHANGED: "unchanged",
            Change.DELETED: "gone from the corpus, to be deleted",
            Change.MISSING: "not in this listing, kept",
        }
        lines = [f"{n:>9}  {words[c]}" for c in Change if (n := self.counts[c])]
        if self.n_surplus:
            lines.append(
                f"{self.n_surplus:>9}  surplus entries of an interrupted run, to be removed"
            )
        for reason, n in sorted(self.passed_over.items()):
            if n:
                kinds = f" ({by_extension(self.not_audio)})" if reason == NOT_AUDIO else ""
                lines.append(f"{n:>9}  passed over: {reason}{kinds}")
        return lines

    def unread_line(self) -> str:
        """Return a line of text about the files that could not be read; empty if there are none."""
        if self.exit_code != EXIT_UNREAD:
            return ""
        files = "file" if self.n_read == 1 else "files"
        example = f" ({self.example})" if self.example else ""
        return (
            f"the table is published, but {self.n_unread} of {self.n_read} {files} could not be"
            f" read{example}: run the same command again"
        )

    def summary_lines(self) -> list[str]:
        """Return lines of text about the result, for people."""
        if self.status == "held":
            return [f"Nothing was published: {self.reason}"]
        lines = []
        if self.n_reused:
            lines.append(f"{self.n_reused} files were finished by an interrupted run before")
        if n := self.n_joined + self.n_copied:
            lines.append(
                f"{n} files have columns of another table, {self.n_copied} of them without reading"
                " the file"
            )
        if self.failures:
            kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(self.failures.items()))
            lines.append(f"{self.n_failed} of {self.n_read} files failed: {kinds}")
        lines += sign_lines(self.signs, self.table)
        if n := self.retries[THROTTLED]:
            times = "once" if n == 1 else f"{n} times"
            lines.append(f"The storage throttled requests (SlowDown, 503, 429) {times}")
        changes = ", ".join(
            f"{n} {change.value}"
            for change in Change
            if (n := self.counts[change]) and change not in (Change.UNCHANGED, Change.MISSING)
        )
        if others := by_reason(self.passed_over, self.not_audio):
            lines.append(f"{others} passed over")
        if self.n_surplus:
            changes += f"{', ' if changes else ''}{self.n_surplus} repeated entries removed"
        lines.append(f"Done: {changes}" if changes else "Everything is up to date")
        rows = f" in {self.n_rows} rows" if self.n_rows != self.n_files else ""
        lines.append(
            f"{self.table}: {self.n_files} files with {self.kind}{rows}, {self.n_errors} failed"
        )
        return lines
