"""The results of shards, their counts, and the early stop of a run in which no file can be read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from jobs.errors import ENVIRONMENT_KINDS, CorpusError
from jobs.execution.costs import Timings
from jobs.execution.sharding import Shard

#: A run stops when this many files were tried and all failed because of the environment.
EARLY_STOP_FILES = 20

_EARLY_STOP_AT_LEAST = 3


@dataclass(frozen=True)
class Failure:
    """A file that got an error row.

    Attributes
    ----------
    path : str
        Stored path of the file.
    kind : str
        Kind of the error, see `jobs.errors`.
    message : str
        The cause, in one line.
    details : str
        A traceback if the error was not foreseen, else empty.
    """

    path: str
    kind: str
    message: str
    details: str = ""


@dataclass
class ShardResult:
    """The result of a shard: the names of staged files, and counts.

    Attributes
    ----------
    bucket : int
        The hash bucket.
    staged : list of str
        Names of the staged files.
    n_files : int
        Number of files with features.
    n_rows : int
        Number of feature rows.
    seconds : float
        Duration of the task [s].
    audio_s : float
        Duration of the audio that was decoded [s].
    n_bytes : int
        Size of the files that were read, in bytes.
    retries : Counter
        Number of requests to storage that were tried again, by kind (see `jobs.storage.retry`).
    n_joined, n_copied : int
        Number of these files that were read for some of their columns, and that were not read at
        all, because another table has the columns.
    signs : list of tuple
        Path and sign of files (see `jobs.table.signs`).
    failures : list of Failure
        Files with an error row.
    timings : dict
        Guessed and measured seconds, by class (see `jobs.corpus.formats.cost_class`).
    native_output : list of tuple
        Path of a file, and the output of native libraries while it was extracted.
    unfinished : Shard, optional
        Files left over after a hung file, or by a worker that leaves, for another task.
    is_hung : bool
        Whether a hung file still occupies a thread of the process.
    shard : str
        Name of the shard.
    worker : str
        Address of the Dask worker; empty if the driver extracted the files.
    host : str
        Name of its machine.
    """

    bucket: int
    staged: list[str] = field(default_factory=list)
    n_files: int = 0
    n_rows: int = 0
    n_joined: int = 0
    n_copied: int = 0
    seconds: float = 0.0
    audio_s: float = 0.0
    n_bytes: int = 0
    retries: Counter[str] = field(default_factory=Counter)
    signs: list[tuple[str, str]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    timings: Timings = field(default_factory=dict)
    native_output: list[tuple[str, str]] = field(default_factory=list)
    unfinished: Shard | None = None
    is_hung: bool = False
    shard: str = ""
    worker: str = ""
    host: str = ""

    def add(self, other: ShardResult) -> None:
        """Add the result of other files of the same shard."""
        self.staged += other.staged
        self.n_files += other.n_files
        self.n_rows += other.n_rows
        self.n_joined += other.n_joined
        self.n_copied += other.n_copied
        self.audio_s += other.audio_s
        self.n_bytes += other.n_bytes
        self.retries.update(other.retries)
        self.signs += other.signs
        self.failures += other.failures
        self.native_output += other.native_output
        for name, (guessed, measured) in other.timings.items():
            before = self.timings.get(name, (0.0, 0.0))
            self.timings[name] = (before[0] + guessed, before[1] + measured)

    @property
    def kinds(self) -> Counter[str]:
        """Number of failures by kind."""
        return Counter(failure.kind for failure in self.failures)


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
