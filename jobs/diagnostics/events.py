"""Events: everything that a run tells. Progress, log, report and tests are their observers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.execution.task import ShardResult
    from jobs.table.changes import Change


@dataclass(frozen=True)
class Event:
    """Base class of all events."""


@dataclass(frozen=True)
class RunStarted(Event):
    """The run has the table to itself and begins.

    Attributes
    ----------
    corpus : str
        Canonical location of the corpus.
    spec : dict
        The spec, as the table records it.
    code : str
        Version of the code.
    settings : dict
        The settings, without secrets.
    """

    corpus: str
    spec: Mapping[str, Any]
    code: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class StepStarted(Event):
    """A step of the run begins; `jobs.run.STEPS` names them."""

    step: str


@dataclass(frozen=True)
class StepEnded(Event):
    """A step of the run has ended, by whatever way."""

    step: str
    seconds: float


@dataclass(frozen=True)
class CountStarted(Event):
    """Files are counted from now on, `total` of them where that is known."""

    what: str
    total: int | None = None


@dataclass(frozen=True)
class Counted(Event):
    """This many more files are done."""

    n_files: int


@dataclass(frozen=True)
class CountEnded(Event):
    """The counting has ended."""


@dataclass(frozen=True)
class Listed(Event):
    """The corpus is listed.

    Attributes
    ----------
    passed_over : mapping
        Number of files that are not part of it, by reason.
    not_audio : mapping
        Number of those that are not audio, by extension.
    """

    passed_over: Mapping[str, int]
    not_audio: Mapping[str, int]


@dataclass(frozen=True)
class Planned(Event):
    """The run is planned.

    Attributes
    ----------
    counts : mapping
        Files by planning class.
    n_surplus : int
        Entries that leave the table because their file has another one.
    n_reused : int
        Files whose rows were staged by an interrupted run.
    reused_failures, reused_signs : mapping
        Failures among these files by kind, and signs of the others.
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
        """Number of files, with those that failed."""
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
    """All parts of a bucket are as planned.

    Attributes
    ----------
    n_files, n_rows : int
        Files with features in the bucket, and their rows.
    n_errors : int
        Files with an error row.
    parts : tuple of str
        Parts that were replaced.
    """

    bucket: int
    n_files: int
    n_rows: int
    n_errors: int
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Conflict(Event):
    """Another writer changed a bucket, which is planned again."""

    bucket: int
    message: str


@dataclass(frozen=True)
class Committed(Event):
    """Every bucket is as planned: the counts are those of the whole table."""

    n_files: int
    n_rows: int
    n_errors: int


@dataclass(frozen=True)
class Note(Event):
    """Something that the user should know."""

    text: str


@dataclass(frozen=True)
class Relocated(Event):
    """The corpus of the table is at another place now."""

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
        What ended a run that was interrupted or failed.
    """

    status: str
    reason: str = ""
    error: BaseException | None = None


Observer = Callable[[Event], None]


@contextlib.contextmanager
def counting(notify: Observer, what: str, total: int | None = None) -> Iterator[None]:
    """Frame the events of a count: its begin, and its end by whatever way."""
    notify(CountStarted(what, total))
    try:
        yield
    finally:
        notify(CountEnded())


@contextlib.contextmanager
def step(notify: Observer, name: str) -> Iterator[None]:
    """Frame the events of a step: its begin, and its end by whatever way, with its time."""
    notify(StepStarted(name))
    started = time.monotonic()
    try:
        yield
    finally:
        notify(StepEnded(name, time.monotonic() - started))


def ignore(event: Event) -> None:
    """Observe nothing."""


def broadcast(*observers: Observer) -> Observer:
    """Return an observer that passes each event on to several."""

    def notify(event: Event) -> None:
        for observer in observers:
            observer(event)

    return notify
