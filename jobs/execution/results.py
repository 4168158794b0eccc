"""Count the results of shards, and stop a run early if no file can be read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from jobs.errors import ENVIRONMENT_KINDS, CorpusError
from jobs.execution.task import ShardResult

#: A run stops when this many files were tried and all failed because of the environment.
EARLY_STOP_FILES = 20

_EARLY_STOP_AT_LEAST = 3


@dataclass
class Tally:
    """Counts of extracted files.

    Attributes
    ----------
    n_read : int
        Number of files extracted by this run or an interrupted one.
    failures : Counter
        Number of these files that failed, by kind.
    n_tried : int
        Number of files extracted by this run.
    n_unreachable : int
        Number of files of this run that failed because of the environment.
    """

    n_read: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    n_tried: int = 0
    n_unreachable: int = 0

    def begin(self, n_reused: int, failures: Counter[str]) -> None:
        """Count the files of interrupted runs, unless files have been counted already."""
        if not self.n_read:
            self.n_read, self.failures = n_reused, failures.copy()

    def add(self, result: ShardResult) -> None:
        """Count the files of a shard."""
        n_files = result.n_files + len(result.failures)
        self.n_read += n_files
        self.n_tried += n_files
        self.failures.update(result.kinds)
        self.n_unreachable += sum(result.kinds[kind] for kind in ENVIRONMENT_KINDS)

    def nothing_can_be_read(self, n_planned: int, n_retries: int) -> bool:
        """Return whether all files fail, so that the run should stop.

        Parameters
        ----------
        n_planned : int
            Number of files to extract.
        n_retries : int
            Number of these files that failed before; their failures are no evidence.
        """
        n_needed = min(EARLY_STOP_FILES, n_planned - n_retries)
        if n_needed < _EARLY_STOP_AT_LEAST or self.n_tried < n_needed + n_retries:
            return False
        return self.n_unreachable == self.n_tried

    def check_readable(self, result: ShardResult, n_planned: int, n_retries: int) -> None:
        """Stop the run if no file can be read.

        Raises
        ------
        CorpusError
            If the first files all failed because of the environment.
        """
        if self.nothing_can_be_read(n_planned, n_retries):
            last = result.failures[-1]
            raise CorpusError(
                f"the first {self.n_tried} files could all not be read, so the run stops:"
                f" {last.path}: {last.kind}, {last.message}"
            )
