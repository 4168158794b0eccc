"""The record of a run: its report, its log and its summary."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from jobs.diagnostics.events import Observer, RunEnded, RunStarted, broadcast
from jobs.diagnostics.report import RunReport
from jobs.diagnostics.run_log import RunLog
from jobs.errors import HeldError, TerminatedError
from jobs.execution.version import code_version
from jobs.request import RunRequest
from jobs.settings import public, secrets_of
from jobs.storage.base import Store
from jobs.storage.urls import canonical_location
from jobs.table.history import write_summary


class Recorder:
    """Records a run in its table.

    Parameters
    ----------
    request : RunRequest
        What the run is asked for.
    store : Store
        The table's place.
    run_id : str
        The run.
    observer : callable
        Told every event too.

    Attributes
    ----------
    report : RunReport
        The run's report, up to date at any moment.
    notify : callable
        Passes an event on to report, log and observer.
    """

    def __init__(self, request: RunRequest, store: Store, run_id: str, observer: Observer) -> None:
        self.run_id = run_id
        self.report = RunReport(run_id, store.url)
        self._request = request
        self._store = store
        self._secrets = secrets_of(request.settings)
        self._log = RunLog(store, run_id, self._secrets)
        self.notify = broadcast(self.report, self._log, observer)

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Frame a run: its start, and its end by whatever way. A held run ends without error."""
        self.notify(
            RunStarted(
                canonical_location(self._request.corpus),
                self._request.recorded_spec.values,
                code_version(),
                public(self._request.settings),
            )
        )
        self._write()
        try:
            yield
        except HeldError as error:
            self._end(RunEnded("held", str(error)))
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt | TerminatedError)
            with contextlib.suppress(OSError):  # the error itself is what to tell
                self._end(RunEnded("interrupted" if stopped else "failed", error=error))
            raise
        else:
            self._end(RunEnded("done"))

    def _end(self, event: RunEnded) -> None:
        self.notify(event)
        self._write()

    def _write(self) -> None:
        self._log.flush()
        write_summary(
            self._store,
            self.run_id,
            self._secrets,
            corpus=canonical_location(self._request.corpus),
            recompute=self._request.settings.recompute,
            code=code_version(),
            settings=public(self._request.settings),
            report=self.report.to_dict(),
        )
