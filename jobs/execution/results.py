"""The extract step: shards to the executor, and an eye on what comes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from jobs.diagnostics.progress import Reporter
from jobs.diagnostics.run_log import RunLog
from jobs.errors import ENVIRONMENT_KINDS, CorpusError
from jobs.execution.task import Failure, ShardResult
from jobs.table.staging import StagedFiles

EARLY_STOP_FILES = 20
"""So many files that all failed for their environment end the run."""

_EARLY_STOP_AT_LEAST = 3


@dataclass
class Tally:
    """Counts of what was extracted."""

    n_read: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    signs: Counter[str] = field(default_factory=Counter)
    n_tried: int = 0
    """Those that were not found in fragments of earlier runs."""
    n_unreachable: int = 0
    """Those of them that failed for their environment."""

    def add(self, result: ShardResult) -> None:
        """Count a shard."""
        n_files = result.n_files + len(result.failures)
        self.n_read += n_files
        self.n_tried += n_files
        self.failures.update(result.kinds)
        self.signs.update(sign for _, sign in result.signs)
        self.n_unreachable += sum(result.kinds[kind] for kind in ENVIRONMENT_KINDS)

    @property
    def n_failed(self) -> int:
        """Files that failed."""
        return sum(self.failures.values())

    def nothing_can_be_read(self, n_planned: int, n_retries: int) -> bool:
        """Say whether nothing can be read, and going on would only say so of every file.

        Parameters
        ----------
        n_planned : int
            Files to extract.
        n_retries : int
            Those of them that failed before: that they do so again says nothing.
        """
        enough = min(EARLY_STOP_FILES, n_planned - n_retries)
        if enough < _EARLY_STOP_AT_LEAST or self.n_tried < enough + n_retries:
            return False
        return self.n_unreachable == self.n_tried


def collect_results(
    results: Iterable[ShardResult],
    n_planned: int,
    n_retries: int,
    fragments: StagedFiles,
    tally: Tally,
    log: RunLog,
    reporter: Reporter,
) -> None:
    """Count and log an executor's results, and note their fragments.

    Raises
    ------
    CorpusError
        If the first files all failed for their environment.
    """
    reporter.start("extracting", n_planned)
    for result in results:
        tally.add(result)
        for name in result.fragments:
            fragments.add(name)
        _log(result, log)
        reporter.advance(result.n_files + len(result.failures), note=f"{tally.n_failed} failed")
        if tally.nothing_can_be_read(n_planned, n_retries):
            last = result.failures[-1]
            raise CorpusError(
                f"the first {tally.n_tried} files could all not be read, so the run stops:"
                f" {_say(last)}"
            )
    reporter.stop()


def _say(failure: Failure) -> str:
    return f"{failure.path}: {failure.kind}, {failure.message}"


def _log(result: ShardResult, log: RunLog) -> None:
    for failure in result.failures:
        details = {"details": failure.details} if failure.details else {}
        log.write("error", path=failure.path, kind=failure.kind, message=failure.message, **details)
    for path, sign in result.signs:
        log.write("sign", path=path, sign=sign)
    for path, text in result.said:
        log.write("decoder", path=path, text=text)
    log.write(
        "shard",
        bucket=result.bucket,
        files=result.n_files,
        rows=result.n_rows,
        errors=len(result.failures),
        seconds=round(result.seconds, 3),
    )
