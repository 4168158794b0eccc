"""The driver: the only place that knows the order of a run's steps."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import featurelib
from jobs.corpus.corpus import Corpus
from jobs.corpus.listing import Listing
from jobs.diagnostics.progress import Reporter, Silent
from jobs.diagnostics.report import RunReport
from jobs.diagnostics.run_log import RunLog, new_run_id, read_summaries
from jobs.errors import TableError, TerminatedError
from jobs.execution.costs import CostModel
from jobs.execution.results import Tally, collect_results
from jobs.execution.task import TaskContext
from jobs.execution.version import code_version
from jobs.limits import too_many_deleted, too_many_failed
from jobs.preflight import RunRequest, check_table, look, new_metadata, outgrown, table_errors
from jobs.settings import public, secrets_of
from jobs.storage.opening import open_store
from jobs.storage.urls import canonical_location, redacted
from jobs.table.changes import Change, PlanOptions
from jobs.table.commit import Commit, delete_leftovers, verify
from jobs.table.lock import WriteGuard, write_lock
from jobs.table.metadata import TableMetadata, read_metadata, write_metadata
from jobs.table.planning import RunPlan, survey
from jobs.table.reader import Table
from jobs.table.staging import StagedFiles, list_staged

if TYPE_CHECKING:
    from jobs.execution.executor import Executor

__all__ = ["STEPS", "RunRequest", "plan_job", "run_job"]

STEPS = (
    "list",
    "plan",
    "cluster",
    "extract",
    "merge",
    "promote",
    "promoted",
    "verify",
    "clean",
    "done",
)
"""Steps that a `Reporter` hears of: `cluster` and `extract` where there is something to read,
`promote` and `promoted` once for each part."""

_ROUNDS = 4

OpenExecutor = Callable[[], AbstractContextManager["Executor"]]


def run_job(
    request: RunRequest, open_executor: OpenExecutor, reporter: Reporter | None = None
) -> RunReport:
    """Bring a table up to date with its corpus.

    Parameters
    ----------
    request : RunRequest
        The corpus, the table, the spec and the settings.
    open_executor : callable
        Gives a context manager for a `jobs.execution.executor.Executor`; called only when there
        is something to extract.
    reporter : Reporter, optional
        Hears of the run's progress.

    Raises
    ------
    JobError
        Where the run cannot do what it is asked for. The table is as it was then or, once
        publication has begun, holds whole parts that the next run goes on from.
    """
    return _Run(request, reporter or Silent()).run(open_executor)


def plan_job(request: RunRequest, reporter: Reporter | None = None) -> RunReport:
    """Return what `run_job` would do; nothing is written."""
    return _Run(request, reporter or Silent()).dry_run()


class _Run:
    """One run: the steps in their order, and the report that they fill in."""

    def __init__(self, request: RunRequest, reporter: Reporter) -> None:
        self.request = request
        self.settings = request.settings
        self.reporter = reporter
        self.store = open_store(request.table, self.settings.options_for("table"))
        self.report = RunReport(new_run_id(), self.store.url)
        self.log = RunLog(self.store, self.report.run_id, secrets_of(self.settings))

    def run(self, open_executor: OpenExecutor) -> RunReport:
        featurelib.check_decoders()
        listing, info = look(self.request, self.store)
        with table_errors(self.store.url):
            self.store.check_writable()
            with write_lock(
                self.store,
                self.report.run_id,
                single_writer=self.settings.single_writer,
                period_s=self.settings.lease_period_s,
            ) as guard:
                if info is None or read_metadata(self.store) != info:  # made or moved since
                    info = check_table(self.request, listing, self.store)
                self._start()
                try:
                    self._steps(listing, info, guard, open_executor)
                except BaseException as error:
                    with contextlib.suppress(OSError):  # the error itself is what to tell
                        self.log.write("failed", error=type(error).__name__, message=str(error))
                        stopped = isinstance(error, KeyboardInterrupt | TerminatedError)
                        self._summarize("interrupted" if stopped else "failed")
                    raise
                self._summarize(self.report.status)
        return self.report

    def _steps(
        self,
        listing: Listing,
        info: TableMetadata | None,
        guard: WriteGuard,
        open_executor: OpenExecutor,
    ) -> None:
        with self._step("list"):
            listing.read(self.reporter)
        table = self._open(listing, info, guard)
        rules = self._rules(listing.corpus)
        fragments = list_staged(self.store)
        tally = Tally()
        for _ in range(_ROUNDS):
            with self._step("plan"):
                found = self._plan(table, listing, fragments, rules)
            if self._too_many_deleted(found):
                return
            self._extract(table, listing, found, fragments, open_executor, tally)
            if self._too_many_failed(tally):
                return
            with self._step("merge"):
                published = Commit(
                    table,
                    listing,
                    fragments,
                    found,
                    rules,
                    self.report.run_id,
                    guard,
                    self.log,
                    self.reporter,
                ).publish(self.settings.reader_grace_s)
                self.report.parts_written += published.parts
                self.report.n_files = published.n_files + found.n_files_untouched
                self.report.n_rows = sum(published.rows.values()) + found.n_rows_untouched
                self.report.n_errors = published.n_errors + found.n_errors_untouched
            with self._step("verify"):
                if published.settled and verify(table, found, published.rows):
                    break
                table.refresh()
        else:
            raise TableError(
                f"{self.store.url} keeps changing while it is written: make sure that only one"
                " job writes it, and run the same command again"
            )
        with self._step("clean"):
            guard.check()
            # listed anew: a worker may have died after it wrote one that nobody heard of
            own = list_staged(self.store, self.report.run_id)
            self.store.delete([*found.spent, *own.names()])
        self.report.status = "done"
        self.reporter.step("done")

    def dry_run(self) -> RunReport:
        listing, info = look(self.request, self.store)
        listing.read(self.reporter)
        with table_errors(self.store.url):
            info = info or new_metadata(self.request, listing)
            self._prepare(listing, info)
            table = Table(self.store, info)
            found = self._plan(table, listing, list_staged(self.store), self._rules(listing.corpus))
        self._too_many_deleted(found)
        self.report.status = "planned"
        return self.report

    # what frames a run: its log, its summary, the time of its steps

    def _start(self) -> None:
        self.log.write(
            "start",
            corpus=canonical_location(self.request.corpus),
            spec=self.request.recorded_spec.values,
            code=code_version(),
            settings=public(self.settings),
        )
        self._summarize("running")
        delete_leftovers(self.store)

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[None]:
        self.reporter.step(name)
        started = time.monotonic()
        try:
            yield
        finally:
            self.reporter.stop()
            seconds = time.monotonic() - started
            self.report.seconds[name] = self.report.seconds.get(name, 0.0) + seconds
            self.log.write("step", step=name, seconds=round(seconds, 3))

    def _summarize(self, status: str) -> None:
        self.report.status = status
        self.log.flush()
        self.log.summary(
            corpus=canonical_location(self.request.corpus),
            recompute=self.settings.recompute,
            code=code_version(),
            settings=public(self.settings),
            report=self.report.to_dict(),
        )

    # the steps

    def _open(self, listing: Listing, info: TableMetadata | None, guard: WriteGuard) -> Table:
        is_new = info is None
        info = info or new_metadata(self.request, listing)
        self._prepare(listing, info)
        if is_new:
            write_metadata(self.store, info, guard.check)
        table = Table(self.store, info)
        note = outgrown(self.request, listing, table)
        if note is not None:
            self._note(note)
        return table

    def _prepare(self, listing: Listing, info: TableMetadata) -> None:
        listing.set_buckets(info.n_buckets)
        for note in listing.check_labels(info.n_buckets):
            self._note(note)
        self.report.passed_over = listing.corpus.passed_over
        self.report.not_audio = listing.corpus.not_audio

    def _note(self, text: str) -> None:
        self.report.notes.append(text)
        self.log.write("note", text=text)

    def _rules(self, corpus: Corpus) -> PlanOptions:
        keep = self.settings.keep_missing
        return PlanOptions(
            fingerprint=self.request.recorded_spec.fingerprint,
            delete_missing=corpus.complete if keep is None else not keep,
            retry_failed=self.settings.retry_failed,
            recompute=self.settings.recompute,
            reusable_runs=self._recomputing_runs() if self.settings.recompute else None,
        )

    def _recomputing_runs(self) -> frozenset[str]:
        """Return the runs that this one goes on from: of the same code, and none done since."""
        runs: set[str] = {self.report.run_id}
        for summary in read_summaries(self.store):
            if summary["report"]["status"] == "done":
                runs = {self.report.run_id}
            elif summary["recompute"] and summary["code"] == code_version():
                runs.add(summary["run_id"])
        return frozenset(runs)

    def _plan(
        self, table: Table, listing: Listing, fragments: StagedFiles, rules: PlanOptions
    ) -> RunPlan:
        self.reporter.start("planning", None)
        found = survey(table, listing, fragments, rules, self.reporter.advance)
        if not self.report.counts:  # a later round, after another writer, goes on from here
            self.report.counts = found.counts
            self.report.n_surplus = found.n_surplus
            self.report.n_reused = found.n_reused
        self.log.write("plan", counts=self.report.to_dict()["planned"], surplus=found.n_surplus)
        return found

    def _extract(
        self,
        table: Table,
        listing: Listing,
        found: RunPlan,
        fragments: StagedFiles,
        open_executor: OpenExecutor,
        tally: Tally,
    ) -> None:
        if not tally.n_read:
            tally.n_read, tally.failures = found.n_reused, found.reused_failures.copy()
            tally.signs = found.reused_signs.copy()
        if found.work.n_files:
            job = TaskContext(
                run_id=self.report.run_id,
                corpus=listing.corpus.address,
                table=self.store.address,
                spec=self.request.recorded_spec.values,
                code_version=code_version(),
                origin=table.origin,
                corpus_options=self.settings.options_for("corpus"),
                table_options=self.settings.options_for("table"),
                is_list=listing.corpus.rows is not None,
                file_timeout_s=self.settings.file_timeout_s,
                prefetch_bytes=int(self.settings.prefetch_mb * 2**20),
                extractor=self.request.extractor,
                sources=self.request.sources,
            )
            with contextlib.ExitStack() as stack:
                stack.callback(self._count, tally)  # also where the run is interrupted
                with self._step("cluster"):
                    executor = stack.enter_context(open_executor())
                    executor.prepare(job)
                with self._step("extract"):
                    costs = CostModel()
                    shards = found.work.shards(executor.n_workers, costs)
                    results = executor.run(job, shards, self.store)
                    collect_results(
                        costs.watch(results),
                        found.work.n_files,
                        found.counts[Change.RETRY],
                        fragments,
                        tally,
                        self.log,
                        self.reporter,
                    )
        else:
            self._count(tally)

    def _count(self, tally: Tally) -> None:
        self.report.n_read, self.report.failures = tally.n_read, tally.failures
        self.report.signs = tally.signs

    def _hold_back(self, reason: str | None) -> bool:
        if reason is not None:
            self.report.status, self.report.reason = "held", reason
        return reason is not None

    def _too_many_deleted(self, found: RunPlan) -> bool:
        n_deleted, limit = found.counts[Change.DELETED], self.settings.max_deleted
        return self._hold_back(
            too_many_deleted(n_deleted, found.n_held, limit, redacted(self.request.corpus))
        )

    def _too_many_failed(self, tally: Tally) -> bool:
        return self._hold_back(
            too_many_failed(tally.failures, tally.n_read, self.settings.max_failed)
        )
