"""The metrics of a run for Prometheus: an observer of events that can be asked for its state."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from jobs.diagnostics.events import (
    EXTRACTING,
    CountEnded,
    CountStarted,
    Event,
    InFlight,
    RunStarted,
    ShardDone,
    StepEnded,
    StepStarted,
    Workers,
)
from jobs.diagnostics.remaining import Remaining
from jobs.diagnostics.run_report import RunReport
from jobs.errors import CONTENT_KINDS, ENVIRONMENT_KINDS
from jobs.storage.retry import RETRY_KINDS
from jobs.table.changes import Change

#: When the last successful run ended: the one metric that a run takes over from the last one.
LAST_SUCCESS = "featurelib_last_success_timestamp_seconds"


class RunMetrics:
    """Observer of a run, and collector for a registry of `prometheus_client`.

    All metrics have the label ``table``. Counters begin at 0 with each run.

    Parameters
    ----------
    table : str
        Location of the table, without secrets.
    last_success : float, optional
        When the last successful run ended [s since 1970].

    Attributes
    ----------
    has_begun : bool
        Whether the run has the lock of its table.
    """

    def __init__(self, table: str, last_success: float | None = None) -> None:
        self.has_begun = False
        self._report = RunReport("", table)
        self._info: dict[str, str] = {}
        self._started_at = time.time()
        self._exit_code: int | None = None
        self._last_success = last_success
        self._step = ""
        self._n_queued = self._n_in_flight = 0
        self._workers = Workers(0, 0)
        self._remaining: Remaining | None = None
        self._turn = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Note an event."""
        with self._turn:
            self._report(event)
            match event:
                case RunStarted(run_id=run_id, code=code):
                    self.has_begun = True
                    self._info = {"run_id": run_id, "version": code}
                case StepStarted(step):
                    self._step = step
                case StepEnded():
                    self._step = ""
                case CountStarted(what, total, guesses, n_workers) if what == EXTRACTING:
                    self._n_queued = total or 0
                    self._remaining = Remaining(guesses, n_workers)
                case ShardDone(result):
                    self._n_queued = max(0, self._n_queued - event.n_files)
                    if self._remaining is not None:
                        self._remaining.add(result)
                case InFlight(n_shards):
                    self._n_in_flight = n_shards
                case Workers(n_workers):
                    self._workers = event
                    if self._remaining is not None:
                        self._remaining.n_workers = n_workers
                case CountEnded():
                    self._n_in_flight, self._remaining = 0, None

    @property
    def has_ended(self) -> bool:
        """Whether the end of the run is noted."""
        return self._exit_code is not None

    def end(self, exit_code: int | None = None) -> None:
        """Note the end of the run; without an exit code, that of its report."""
        with self._turn:
            self._exit_code = self._report.exit_code if exit_code is None else exit_code
            self._step = ""
            self._n_queued, self._workers = 0, Workers(0, 0)
            if self._exit_code == 0:
                self._last_success = time.time()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; any thread may ask."""
        with self._turn:
            return iter([*self._of_run(), *self._of_files(), *self._of_work()])

    def _of_run(self) -> Iterator[Metric]:
        info = {tuple(self._info.values()): 1} if self._info else {}
        yield self._gauge(
            "run_info", "The run, and its version of the code.", info, tuple(self._info)
        )
        yield self._gauge(
            "run_start_timestamp_seconds", "When the run began.", {(): self._started_at}
        )
        yield self._gauge(
            "updated_timestamp_seconds", "When these metrics were made.", {(): time.time()}
        )
        running = {(): int(self._exit_code is None)}
        yield self._gauge("running", "1 while the run goes on, 0 at its end.", running)
        codes = {} if self._exit_code is None else {(): self._exit_code}
        yield self._gauge("run_exit_code", "Exit code of the run, at its end.", codes)
        ended = {} if self._last_success is None else {(): self._last_success}
        yield self._gauge(
            LAST_SUCCESS.removeprefix(_PREFIX), "When a run last ended with exit code 0.", ended
        )
        seconds = {(step,): value for step, value in self._report.seconds.items()}
        yield self._gauge("step_duration_seconds", "Duration of each step.", seconds, ("step",))
        step = {(self._step,): 1} if self._step else {}
        yield self._gauge("step", "1 for the step that the run is at.", step, ("step",))

    def _of_files(self) -> Iterator[Metric]:
        report = self._report
        failed = report.n_failed
        yield self._counter(
            "files",
            "Files that were extracted, with features or with an error.",
            {("done",): report.n_read - failed, ("failed",): failed},
            ("status",),
        )
        kinds = sorted(CONTENT_KINDS | ENVIRONMENT_KINDS)
        yield self._counter(
            "file_errors",
            "Files with an error, by its kind.",
            {(kind,): report.failures[kind] for kind in kinds},
            ("kind",),
        )
        changes = {(c.value,): report.counts[c] for c in Change} if report.counts else {}
        yield self._gauge("files_planned", "Files by what is to become of them.", changes, _CHANGE)
        yield self._gauge("files_queued", "Files that wait or are extracted.", {(): self._n_queued})
        seconds = None if self._remaining is None else self._remaining.seconds
        left = {} if seconds is None else {(): seconds}
        yield self._gauge("remaining_seconds", "Expected time to the end of the extraction.", left)
        for name, what, value in (
            ("files", "Files with features", report.n_files),
            ("errors", "Files with an error", report.n_errors),
            ("rows", "Rows of features", report.n_rows),
        ):
            values = {(): value} if report.seconds.get("merge") else {}
            yield self._gauge(f"table_{name}", f"{what} in the table, after the commit.", values)

    def _of_work(self) -> Iterator[Metric]:
        report = self._report
        yield self._counter("read_bytes", "Size of the files that were read.", {(): report.n_bytes})
        yield self._counter("audio_seconds", "Decoded audio.", {(): report.audio_s})
        yield self._counter(
            "storage_retries",
            "Requests to storage that were sent again, by the kind of failure.",
            {(kind,): report.retries[kind] for kind in RETRY_KINDS},
            ("kind",),
        )
        yield self._counter("parts_written", "Parts replaced.", {(): report.parts_written})
        yield self._gauge(
            "shards_in_flight", "Shards at workers, or about to be.", {(): self._n_in_flight}
        )
        yield self._gauge("workers", "Workers of the cluster.", {(): self._workers.n_workers})
        yield self._gauge(
            "workers_wanted", "Workers that it is to have.", {(): self._workers.n_wanted}
        )

    def _gauge(
        self, name: str, text: str, values: Mapping[Any, float], labels: tuple[str, ...] = ()
    ) -> Metric:
        return self._metric(GaugeMetricFamily, name, text, values, labels)

    def _counter(
        self, name: str, text: str, values: Mapping[Any, float], labels: tuple[str, ...] = ()
    ) -> Metric:
        return self._metric(CounterMetricFamily, name, text, values, labels)

    def _metric(
        self,
        family: type[GaugeMetricFamily] | type[CounterMetricFamily],
        name: str,
        text: str,
        values: Mapping[Any, float],
        labels: tuple[str, ...],
    ) -> Metric:
        metric = family(f"{_PREFIX}{name}", text, labels=("table", *labels))
        for of_labels, value in values.items():
            metric.add_metric([self._report.table, *of_labels], value)
        return metric


_PREFIX = "featurelib_"
_CHANGE = ("change",)
