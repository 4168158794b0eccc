"""The events of a run. Progress, log, report and tests observe them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.execution.results import ShardResult
    from jobs.table.changes import Change


@dataclass(frozen=True)
class Event:
    """Base class of all events."""


@dataclass(frozen=True)
class RunStarted(Event):
    """The run holds the write lock and begins.

    Attributes
    ----------
    run_id : str
        Name of the run.
    table : str
        Location of the table.
    corpus : str
        Canonical location of the corpus.
    spec : dict
        The spec as recorded in the table.
    code : str
        Version of the code.
    settings : dict
        The settings, without secrets.
    """

    run_id: str
    table: str
    corpus: str
    spec: Mapping[str, Any]
    code: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class StepStarted(Event):
    """A step of the run begins; `jobs.run.STEPS` lists the steps."""

    step: str


@dataclass(frozen=True)
class StepEnded(Event):
    """A step of the run has ended, also by an error."""

    step: str
    seconds: float


#: What is done with files that are extracted, in `CountStarted`.
EXTRACTING = "extracting"


@dataclass(frozen=True)
class CountStarted(Event):
    """A count of files begins.

    Attributes
    ----------
    what : str
        What is done with the files.
    total : int, optional
        Number of all files; None if it is not known.
    guesses : mapping
        Guessed time for all files on one worker [s], by class of files (see
        `jobs.corpus.formats.cost_class`); empty if it is not known.
    n_workers : int
        Number of workers.
    """

    what: str
    total: int | None = None
    guesses: Mapping[str, float] = field(default_factory=dict)
    n_workers: int = 1


@dataclass(frozen=True)
class Counted(Event):
    """More files are done: `n_files` since the last such event."""

    n_files: int


@dataclass(frozen=True)
class CountEnded(Event):
    """The count has ended."""


@dataclass(frozen=True)
class Compiling(Event):
    """Kernels are being compiled, which happens once on each machine.

    Attributes
    ----------
    n_done, n_kernels : int
        Number of kernels that are compiled, and of all that must be; 0 if that is not known.
    """

    n_done: int
    n_kernels: int


@dataclass(frozen=True)
class Listed(Event):
    """The corpus is listed.

    Attributes
    ----------
    passed_over : mapping
        Number of files that are not part of the corpus, by reason.
    not_audio : mapping
        Number of these files that are not audio, by extension.
    """

    passed_over: Mapping[str, int]
    not_audio: Mapping[str, int]


@dataclass(frozen=True)
class Planned(Event):
    """The run is planned.

    Attributes
    ----------
    counts : mapping
        Number of files by planning class.
    n_surplus : int
        Number of entries that leave the table because their file has another entry.
    n_reused : int
        Number of files whose rows were staged by an interrupted run.
    reused_failures, reused_signs : mapping
        Number of these files that failed, by kind, and of the others, by sign.
    """

    counts: Mapping[Change, int]
    n_surplus: int
    n_reused: int
    reused_failures: Mapping[str, int]
    reused_signs: Mapping[str, int]


@dataclass(frozen=True)
class ShardDone(Event):
    """The files of a shard are extracted and staged."""

    result: ShardResult

    @property
    def n_files(self) -> int:
        """Number of files, including files that failed."""
        return self.result.n_files + len(self.result.failures)


@dataclass(frozen=True)
class PartStarted(Event):
    """A part of the table is about to be replaced."""

    part: str


@dataclass(frozen=True)
class PartWritten(Event):
    """A part of the table was replaced."""

    part: str


@dataclass(frozen=True)
class BucketCommitted(Event):
    """All parts of a hash bucket are written.

    Attributes
    ----------
    bucket : int
        The hash bucket.
    n_files, n_rows : int
        Number of files with features in the bucket, and of their rows.
    n_errors : int
        Number of files with an error row.
    parts : tuple of str
        Names of the parts that were replaced.
    """

    bucket: int
    n_files: int
    n_rows: int
    n_errors: int
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Conflict(Event):
    """A hash bucket cannot be committed as planned, so the run plans again.

    Another writer has changed it, or a staged file is damaged.
    """

    bucket: int
    message: str


@dataclass(frozen=True)
class Committed(Event):
    """The commit has ended; the counts are for the whole table, without buckets in conflict."""

    n_files: int
    n_rows: int
    n_errors: int


@dataclass(frozen=True)
class Workers(Event):
    """The number of workers has changed, or of those that are waited for.

    Attributes
    ----------
    n_workers : int
        Number of workers that the cluster has.
    n_wanted : int
        Number of workers that it is to have.
    """

    n_workers: int
    n_wanted: int


@dataclass(frozen=True)
class InFlight(Event):
    """The number of shards that are at workers, or wait for one, has changed."""

    n_shards: int


@dataclass(frozen=True)
class Serving(Event):
    """Something can be looked at while the run goes on.

    Attributes
    ----------
    what : str
        ``metrics`` or ``dashboard``.
    url : str
        Its address.
    """

    what: str
    url: str


@dataclass(frozen=True)
class Waiting(Event):
    """Nothing has moved for a while; `what_for` says what the run waits for."""

    what_for: str


@dataclass(frozen=True)
class Retried(Event):
    """The driver has sent requests to storage again; `ShardDone` has the retries of workers.

    Attributes
    ----------
    counts : mapping
        Number of retries since the last such event, by kind (see `jobs.storage.retry`).
    """

    counts: Mapping[str, int]


@dataclass(frozen=True)
class Note(Event):
    """A note for the user."""

    text: str


@dataclass(frozen=True)
class Relocated(Event):
    """The table has a new corpus root."""

    report: Mapping[str, Any]


@dataclass(frozen=True)
class Repartitioned(Event):
    """The table was made as a copy; `report` is the repartition as a dictionary."""

    report: Mapping[str, Any]


@dataclass(frozen=True)
class RunEnded(Event):
    """The run has ended.

    Attributes
    ----------
    status : str
        ``done``, ``held``, ``planned``, ``interrupted`` or ``failed``.
    reason : str
        Why a run was held.
    error : BaseException, optional
        The error that ended an interrupted or failed run.
    """

    status: str
    reason: str = ""
    error: BaseException | None = None


#: A callable that receives every event of a run.
Observer = Callable[[Event], None]


@contextlib.contextmanager
def counting(
    notify: Observer,
    what: str,
    total: int | None = None,
    *,
    guesses: Mapping[str, float] | None = None,
    n_workers: int = 1,
) -> Iterator[None]:
    """Notify of the start and the end of a count, also if it ends by an error."""
    notify(CountStarted(what, total, guesses or {}, n_workers))
    try:
        yield
    finally:
        notify(CountEnded())


@contextlib.contextmanager
def step(notify: Observer, name: str) -> Iterator[None]:
    """Notify of the start and the end of a step, also if it ends by an error."""
    notify(StepStarted(name))
    started = time.monotonic()
    try:
        yield
    finally:
        notify(StepEnded(name, time.monotonic() - started))


def ignore(event: Event) -> None:
    """Do nothing: the observer for runs that nobody observes."""


def broadcast(*observers: Observer) -> Observer:
    """Return an observer that passes each event to all of `observers`."""

    def notify(event: Event) -> None:
        for observer in observers:
            observer(event)

    return notify
