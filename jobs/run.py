"""The driver: the steps of a run, in order."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import featurelib
from jobs.corpus.listing import Listing
from jobs.diagnostics.events import (
    EXTRACTING,
    Compiling,
    Note,
    Observer,
    RunEnded,
    ShardDone,
    broadcast,
    counting,
    ignore,
    step,
)
from jobs.diagnostics.recorder import Recorder, ended_by
from jobs.diagnostics.run_report import RunReport
from jobs.errors import HeldError, TableError
from jobs.execution.context import TaskContext
from jobs.execution.costs import CostModel
from jobs.execution.results import Tally
from jobs.execution.sharding import shards
from jobs.execution.version import code_version
from jobs.limits import too_many_deleted, too_many_failed
from jobs.preflight import (
    check_table,
    new_metadata,
    outgrown,
    preflight,
    table_errors,
    tiny_parts,
    unused_settings,
)
from jobs.request import RunRequest
from jobs.reuse import note_of, reused_table
from jobs.storage.base import Store
from jobs.storage.opening import open_store
from jobs.storage.retry import take_retries
from jobs.storage.urls import redacted
from jobs.table.changes import Change, PlanOptions
from jobs.table.commit import clean_up, commit, verify
from jobs.table.history import delete_old_runs, new_run_id, read_summaries, run_ids
from jobs.table.images import ImageFiles
from jobs.table.lock import Unguarded, WriteGuard, busy_if_lost, write_lock
from jobs.table.metadata import (
    IMAGES,
    TableMetadata,
    absent_columns,
    read_metadata,
    write_metadata,
)
from jobs.table.planning import RunPlan, plan_run
from jobs.table.reader import Table
from jobs.table.reused import ReusedTable
from jobs.table.staging import list_staged
from jobs.table.transaction import Transaction

if TYPE_CHECKING:
    from jobs.execution.executor import OpenExecutor
    from jobs.settings import Settings

__all__ = ["STEPS", "RunRequest", "plan_job", "run_job"]

#: Steps of a run. It has ``cluster`` and ``extract`` only if there are files to extract.
STEPS = ("list", "plan", "cluster", "extract", "merge", "verify", "clean")

_MAX_ROUNDS = 4


def run_job(
    request: RunRequest, open_executor: OpenExecutor, observer: Observer = ignore
) -> RunReport:
    """Make or update a table, and return the report of the run.

    Parameters
    ----------
    request : RunRequest
        The corpus, the table, the spec and the settings.
    open_executor : callable
        Returns a context manager for a `jobs.execution.executor.Executor`; called only if
        there are files to extract.
    observer : callable, optional
        Receives every event of the run, see `jobs.diagnostics.events`.

    Raises
    ------
    JobError
        If the run fails. Before the commit, the table is unchanged then. During the commit,
        it has complete parts, and the next run continues. If another driver has taken over,
        the error is `TableBusyError`, whatever failed first.
    """
    featurelib.check_decoders()
    take_retries()  # forget those of what this process did before
    settings = request.settings
    store = open_store(request.table, settings.options_for("table"))
    with _measured(settings.metrics, store.url, observer) as observer:
        listing, metadata = preflight(request, store)
        reuse = reused_table(request, listing.corpus.root, store.url)
        recorder = Recorder(request, store, new_run_id(), observer)
        with table_errors(store.url):
            store.check_writable()
            with write_lock(
                store,
                recorder.run_id,
                single_writer=settings.single_writer,
                period_s=settings.lease_period_s,
            ) as lock:
                if metadata is None or read_metadata(store) != metadata:  # changed before the lock
                    metadata = check_table(request, listing, store)
                with recorder.recording(), busy_if_lost(lock):
                    store.delete_leftovers()
                    with step(recorder.notify, "list"):
                        listing.read(recorder.notify)
                    run = _begin(request, store, listing, metadata, lock, recorder, reuse)
                    _carry_out(run, request, open_executor)
                lock.check()
        return recorder.report


def _measured(
    where: str | None, table: str, observer: Observer
) -> AbstractContextManager[Observer]:
    """Return a context manager for an observer that also makes the metrics of a run, if wanted."""
    if where is None:
        return contextlib.nullcontext(observer)
    from jobs.diagnostics.exposition import exposed  # needs the extra "metrics"

    return exposed(where, table, observer)


def plan_job(request: RunRequest, observer: Observer = ignore) -> RunReport:
    """Plan a run without writing anything; return a report with the plan.

    Parameters
    ----------
    request : RunRequest
        The corpus, the table, the spec and the settings.
    observer : callable, optional
        Receives every event.

    Raises
    ------
    JobError
        If the run cannot be planned.
    """
    store = open_store(request.table, request.settings.options_for("table"))
    listing, metadata = preflight(request, store)
    reuse = reused_table(request, listing.corpus.root, store.url)
    report = RunReport(new_run_id(), store.url, kind=request.recorded_spec.kind)
    notify = broadcast(report, observer)
    try:
        listing.read(notify)
        with table_errors(store.url):
            metadata = metadata or new_metadata(request, listing)
            _match(listing, metadata, notify)
            for note in unused_settings(request.settings):
                notify(Note(note))
            if reuse is not None:
                notify(Note(note_of(reuse, request)))
            run = Transaction(
                report.run_id,
                _open_table(store, metadata),
                listing,
                list_staged(store),
                _options(request, listing, store, report.run_id),
                Unguarded(),
                notify,
            )
            _check_deletions(plan_run(run), run, request)
    except HeldError as error:
        notify(RunEnded("planned", str(error)))
    except BaseException as error:
        notify(ended_by(error))
        raise
    else:
        notify(RunEnded("planned"))
    return report


def _begin(
    request: RunRequest,
    store: Store,
    listing: Listing,
    metadata: TableMetadata | None,
    lock: WriteGuard,
    recorder: Recorder,
    reuse: ReusedTable | None,
) -> Transaction:
    """Open the table, after making it if there is none yet."""
    is_new = metadata is None
    metadata = metadata or new_metadata(request, listing)
    _match(listing, metadata, recorder.notify)
    if is_new:
        write_metadata(store, metadata, lock.check)
        if note := tiny_parts(listing, metadata):
            recorder.notify(Note(note))
    table = _open_table(store, metadata)
    if note := outgrown(request, listing, table):
        recorder.notify(Note(note))
    for note in unused_settings(request.settings):
        recorder.notify(Note(note))
    if reuse is not None:
        recorder.notify(Note(note_of(reuse, request)))
    options = _options(request, listing, store, recorder.run_id)
    return Transaction(
        *(recorder.run_id, table, listing, list_staged(store), options, lock, recorder.notify),
        reuse=reuse,
    )


def _open_table(store: Store, metadata: TableMetadata) -> Table:
    table = Table(store, metadata)
    if metadata.kind == IMAGES:
        table.images = ImageFiles(store)
    return table


def _carry_out(run: Transaction, request: RunRequest, open_executor: OpenExecutor) -> None:
    """Plan, extract, commit and verify; repeat if another writer interfered."""
    tally = Tally()
    for _ in range(_MAX_ROUNDS):
        with step(run.notify, "plan"):
            plan = plan_run(run)
        _check_deletions(plan, run, request)
        tally.begin(plan.n_reused, plan.reused_failures)
        if plan.pending.n_files:
            _extract(run, plan, tally, request, open_executor)
        _check_failures(tally, request)
        with step(run.notify, "merge"):
            result = commit(run, plan, request.settings.reader_grace_s)
        with step(run.notify, "verify"):
            if not result.has_conflict and verify(run, plan, result):
                break
            run.table.refresh()
    else:
        raise TableError(
            f"{run.table.store.url} keeps changing while it is written: make sure that only one"
            " job writes it, and run the same command again"
        )
    with step(run.notify, "clean"):
        clean_up(run, plan)
        _delete_old_runs(run, request.settings)


def _delete_old_runs(run: Transaction, settings: Settings) -> None:
    store = run.table.store
    run.lock.check()
    try:
        delete_old_runs(store, run.run_id, settings.keep_runs, settings.keep_runs_days)
    except OSError as error:  # the table is published, and the next run tries again
        run.notify(Note(f"records of old runs cannot be deleted: {error.strerror or error}"))


def _extract(
    run: Transaction,
    plan: RunPlan,
    tally: Tally,
    request: RunRequest,
    open_executor: OpenExecutor,
) -> None:
    """Extract the pending files on the executor."""
    context = task_context(run, request)
    n_files, n_retries = plan.pending.n_files, plan.counts[Change.RETRY]
    with contextlib.ExitStack() as stack:
        with step(run.notify, "cluster"):
            executor = stack.enter_context(open_executor())
            executor.prepare(context, lambda done, total: run.notify(Compiling(done, total)))
        count = counting(
            run.notify,
            EXTRACTING,
            n_files,
            guesses=plan.pending.guesses,
            n_workers=executor.n_workers(),
        )
        with step(run.notify, "extract"), count:
            costs = CostModel()
            waiting = shards(plan.pending, executor.n_workers, costs)
            for result in executor.run(context, waiting, run.table.store, run.notify):
                costs.observe(result.timings)
                tally.add(result)
                run.staged.update(result.staged)
                run.notify(ShardDone(result))
                tally.check_readable(result, n_files, n_retries)


def task_context(run: Transaction, request: RunRequest) -> TaskContext:
    """Return the parameters that all tasks of a run share."""
    settings, corpus = request.settings, run.listing.corpus
    return TaskContext(
        run_id=run.run_id,
        corpus=corpus.address,
        table=run.table.store.address,
        spec=request.recorded_spec.values,
        code_version=code_version(),
        origin=run.table.origin,
        corpus_options=settings.options_for("corpus"),
        table_options=settings.options_for("table"),
        is_list=corpus.rows is not None,
        file_timeout_s=settings.file_timeout_s,
        prefetch_bytes=int(settings.prefetch_mb * 2**20),
        extractor=request.extractor,
        sources=request.sources,
        tags=tuple(settings.tag_columns),
        label_tag=settings.label_tag,
        reuse=run.reuse,
        absent=absent_columns(run.table.metadata),
        product=request.product,
    )


def _match(listing: Listing, metadata: TableMetadata, notify: Observer) -> None:
    """Divide the listing into the table's hash buckets, and match it with the label file."""
    listing.set_buckets(metadata.n_buckets)
    for note in listing.check_labels(metadata.n_buckets):
        notify(Note(note))


def _options(request: RunRequest, listing: Listing, store: Store, run_id: str) -> PlanOptions:
    settings = request.settings
    keep = settings.keep_missing
    is_of_images = request.recorded_spec.kind == IMAGES  # a label is in the names of images
    return PlanOptions(
        fingerprint=request.recorded_spec.fingerprint,
        delete_missing=listing.corpus.complete if keep is None else not keep,
        retry_failed=settings.retry_failed,
        recompute=settings.recompute,
        reusable_runs=_recomputing_runs(store, run_id) if settings.recompute else None,
        own_labels=settings.label_tag is not None or is_of_images,
        label_decides=settings.label_tag is None and is_of_images,
    )


def _recomputing_runs(store: Store, run_id: str) -> frozenset[str]:
    """Return the runs whose staged files a recomputing run may use.

    These are interrupted recomputing runs of the same code, after the last completed run.
    """
    runs = {run_id}
    for other in reversed(run_ids(store)):
        for summary in read_summaries(store, [other]):
            if summary["report"]["status"] == "done":
                return frozenset(runs)
            if summary["recompute"] and summary["code"] == code_version():
                runs.add(summary["run_id"])
    return frozenset(runs)


def _check_deletions(plan: RunPlan, run: Transaction, request: RunRequest) -> None:
    reason = too_many_deleted(
        plan.counts[Change.DELETED] - plan.n_vanished,  # that these are gone is known
        plan.n_held,
        request.settings.max_deleted,
        redacted(request.corpus),
    )
    if reason is not None:
        raise HeldError(reason)


def _check_failures(tally: Tally, request: RunRequest) -> None:
    reason = too_many_failed(tally.failures, tally.n_read, request.settings.max_failed)
    if reason is not None:
        raise HeldError(reason)
