"""The results of shards: counted, and an early end where nothing can be read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from jobs.errors import ENVIRONMENT_KINDS, CorpusError
from jobs.execution.task import ShardResult

#: A run ends when this many files were tried and all failed for their environment.
EARLY_STOP_FILES = 20

_EARLY_STOP_AT_LEAST = 3


@dataclass
class Tally:
    """Counts of extracted files.

    Attributes
    ----------
    n_read : int
        Files that were extracted, by this run or by an interrupted one.
    failures : Counter
        Number of those that failed, by kind.
    n_tried : int
        Files that this run extracted.
    n_unreachable : int
        Number of those that failed for their environment.
    """

    n_read: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    n_tried: int = 0
    n_unreachable: int = 0

    def begin(self, n_reused: int, failures: Counter[str]) -> None:
        """Count the files of interrupted runs, unless files are counted already."""
        if not self.n_read:
            self.n_read, self.failures = n_reused, failures.copy()

    def add(self, result: ShardResult) -> None:
        """Count a shard."""
        n_files = result.n_files + len(result.failures)
        self.n_read += n_files
        self.n_tried += n_files
        self.failures.update(result.kinds)
        self.n_unreachable += sum(result.kinds[kind] for kind in ENVIRONMENT_KINDS)

    def nothing_can_be_read(self, n_planned: int, n_retries: int) -> bool:
        """Say whether every file fails, so that going on would be of no use.

        Parameters
        ----------
        n_planned : int
            Files to extract.
        n_retries : int
            Number of those that failed before: a second failure of theirs says nothing.
        """
        enough = min(EARLY_STOP_FILES, n_planned - n_retries)
        if enough < _EARLY_STOP_AT_LEAST or self.n_tried < enough + n_retries:
            return False
        return self.n_unreachable == self.n_tried

    def check_readable(self, result: ShardResult, n_planned: int, n_retries: int) -> None:
        """End the run where nothing can be read.

        Raises
        ------
        CorpusError
            If the first files all failed for their environment.
        """
        if self.nothing_can_be_read(n_planned, n_retries):
            last = result.failures[-1]
            raise CorpusError(
                f"the first {self.n_tried} files could all not be read, so the run stops:"
                f" {last.path}: {last.kind}, {last.message}"
            )
