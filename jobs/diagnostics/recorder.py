"""Record a run in its table: report, log and summary."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from jobs.diagnostics.events import (
    BucketCommitted,
    Event,
    Observer,
    Retried,
    RunEnded,
    RunStarted,
    StepEnded,
    broadcast,
)
from jobs.diagnostics.run_log import RunLog
from jobs.diagnostics.run_report import RunReport
from jobs.errors import HeldError, TerminatedError
from jobs.execution.version import code_version
from jobs.request import RunRequest
from jobs.settings import public, secrets_of
from jobs.storage.base import Store
from jobs.storage.retry import take_retries
from jobs.storage.urls import canonical_location
from jobs.table.history import utc_now, write_summary

#: Events after which its retries are told: those of a listing at its end, not for each page.
_AFTER_REQUESTS = (StepEnded, BucketCommitted, RunEnded)


def ended_by(error: BaseException) -> RunEnded:
    """Return the last event of a run that an error ended."""
    stopped = isinstance(error, KeyboardInterrupt | TerminatedError)
    return RunEnded("interrupted" if stopped else "failed", error=error)


class Recorder:
    """Records a run in its table.

    Parameters
    ----------
    request : RunRequest
        The request of the run.
    store : Store
        Store of the table.
    run_id : str
        Name of the run.
    observer : callable
        Another observer of all events.

    Attributes
    ----------
    report : RunReport
        Report of the run, always up to date.

    Raises
    ------
    featurelib.ParameterError
        If the environment asks for unknown kernels.
    """

    def __init__(self, request: RunRequest, store: Store, run_id: str, observer: Observer) -> None:
        self.run_id = run_id
        self.report = RunReport(run_id, store.url, kind=request.recorded_spec.kind)
        self._request = request
        self._store = store
        self._code = code_version()
        self._started = ""
        self._secrets = secrets_of(request.settings)
        self._log = RunLog(store, run_id, self._secrets)
        self._observe = broadcast(self.report, self._log, observer)

    def notify(self, event: Event) -> None:
        """Pass an event to the report, the log and the observer, after the driver's retries."""
        if isinstance(event, _AFTER_REQUESTS) and (counts := take_retries()):
            self._observe(Retried(counts))
        self._observe(event)

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Record the start and the end of a run, also if it fails; suppress `HeldError`."""
        self._started = utc_now()
        self.notify(
            RunStarted(
                self.run_id,
                self._store.url,
                canonical_location(self._request.corpus),
                self._request.recorded_spec.values,
                self._code,
                public(self._request.settings),
            )
        )
        self._write()
        try:
            yield
        except HeldError as error:
            self._end(RunEnded("held", str(error)))
        except BaseException as error:
            with contextlib.suppress(OSError):  # the first error matters more
                self._end(ended_by(error))
            raise
        else:
            self._end(RunEnded("done"))

    def _end(self, event: RunEnded) -> None:
        try:
            self.notify(event)
        finally:  # also if an observer fails: the report and the log have the event by then
            self._write()

    def _write(self) -> None:
        self._log.flush()
        write_summary(
            self._store,
            self.run_id,
            self._secrets,
            corpus=canonical_location(self._request.corpus),
            recompute=self._request.settings.recompute,
            code=self._code,
            started=self._started,
            ended=None if self.report.status == "running" else utc_now(),
            settings=public(self._request.settings),
            report=self.report.to_dict(),
        )
