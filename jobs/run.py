"""The driver: the only place that knows the order of a run's steps."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import featurelib
from jobs import schema
from jobs.corpus import Corpus, check_apart, open_corpus
from jobs.errors import TableError, UsageError
from jobs.extraction import Tally, take_in
from jobs.fragments import FragmentFiles
from jobs.lease import Guard, hold
from jobs.listing import Listing, open_label_file
from jobs.plan import Change, Rules, bucket_count
from jobs.progress import Reporter, Silent
from jobs.publication import (
    delete_leftovers,
    list_fragments,
    merge_buckets,
    verify,
)
from jobs.report import RunReport
from jobs.runlog import RunLog, new_run_id, read_summaries
from jobs.settings import Settings, public, secrets_of
from jobs.storage import lasting, open_store
from jobs.survey import Survey, survey
from jobs.table import (
    Table,
    TableInfo,
    carried_types,
    check_same,
    list_parts,
    read_info,
    write_info,
)
from jobs.version import code_version, software_version
from jobs.worker import Extractor, Job

if TYPE_CHECKING:
    from jobs.dispatch import Executor

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

MAX_LABELS = 2000
"""Most labels by which a table is partitioned unless that is asked for by name."""

_ROUNDS = 4

OpenExecutor = Callable[[], AbstractContextManager["Executor"]]


@dataclass(frozen=True)
class Request:
    """What a run is asked for."""

    corpus: str
    table: str
    spec: featurelib.FeatureSpec
    settings: Settings = field(default_factory=Settings)
    extractor: Extractor = featurelib.extract_columns


def run_job(
    request: Request, open_executor: OpenExecutor, reporter: Reporter | None = None
) -> RunReport:
    """Bring a table up to date with its corpus.

    Parameters
    ----------
    request : Request
        The corpus, the table, the spec and the settings.
    open_executor : callable
        Gives a context manager for a `jobs.dispatch.Executor`; called only when there
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


def plan_job(request: Request, reporter: Reporter | None = None) -> RunReport:
    """Return what `run_job` would do; nothing is written."""
    return _Run(request, reporter or Silent()).dry_run()


class _Run:
    """One run: the steps in their order, and the report that they fill in."""

    def __init__(self, request: Request, reporter: Reporter) -> None:
        self.request = request
        self.settings = request.settings
        self.reporter = reporter
        self.store = open_store(request.table, self.settings.options_for("table"))
        self.report = RunReport(new_run_id(), self.store.url)
        self.log = RunLog(self.store, self.report.run_id, secrets_of(self.settings))

    def run(self, open_executor: OpenExecutor) -> RunReport:
        listing, info = self._look()
        with _writing(self.store.url):
            self.store.check_writable()
            with hold(
                self.store,
                self.report.run_id,
                single_writer=self.settings.single_writer,
                period_s=self.settings.lease_period_s,
            ) as guard:
                self._start()
                try:
                    self._steps(listing, info, guard, open_executor)
                except BaseException as error:
                    self.log.write("failed", error=type(error).__name__, message=str(error))
                    with contextlib.suppress(OSError):  # the error itself is what to tell
                        self._summarize("failed")
                    raise
                self._summarize(self.report.status)
        return self.report

    def _steps(
        self, listing: Listing, info: TableInfo | None, guard: Guard, open_executor: OpenExecutor
    ) -> None:
        with self._step("list"):
            listing.read(self.reporter)
        table = self._make_or_open(listing, info)
        self._prepare(listing, table.info)
        rules = self._rules(listing.corpus)
        fragments = list_fragments(self.store)
        for _ in range(_ROUNDS):
            with self._step("plan"):
                found = self._plan(table, listing, fragments, rules)
            if self._hold_back(self._too_many_deleted(found)):
                return
            tally = self._extract(listing, found, fragments, open_executor)
            if self._hold_back(self._too_many_failed(tally)):
                return
            with self._step("merge"):
                published = merge_buckets(
                    table,
                    listing,
                    fragments,
                    found,
                    rules,
                    self.report.run_id,
                    guard,
                    self.log,
                    self.reporter,
                )
                self.report.parts_written += published.parts
                self.report.n_rows = published.n_rows + found.n_rows_untouched
                self.report.n_errors = published.n_errors + found.n_errors_untouched
            with self._step("verify"):
                if published.settled and verify(table, found):
                    break
                table.refresh()
        else:
            raise TableError(
                f"{self.store.url} keeps changing while it is written: make sure that only one"
                " job writes it, and run the same command again"
            )
        with self._step("clean"):
            guard.check()
            self.store.delete([*found.spent, *fragments.of_run(self.report.run_id)])
        self.report.status = "done"
        self.reporter.step("done")

    def dry_run(self) -> RunReport:
        listing, info = self._look()
        listing.read(self.reporter)
        with _writing(self.store.url):
            wanted = self._wanted(listing)
            if info is None or not list_parts(self.store):
                info = self._sized(wanted, listing)
            self._prepare(listing, info)
            table = Table(self.store, info)
            found = self._plan(
                table, listing, list_fragments(self.store), self._rules(listing.corpus)
            )
        self._hold_back(self._too_many_deleted(found))
        self.report.status = "planned"
        return self.report

    # what frames a run: its log, its summary, the time of its steps

    def _start(self) -> None:
        self.log.write(
            "start",
            corpus=lasting(self.request.corpus),
            spec=self.request.spec.to_dict(),
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
            corpus=lasting(self.request.corpus),
            recompute=self.settings.recompute,
            settings=public(self.settings),
            report=self.report.to_dict(),
        )

    # before anything is written

    def _look(self) -> tuple[Listing, TableInfo | None]:
        settings = self.settings
        taken = schema.taken_names(self.request.spec)
        corpus = open_corpus(
            self.request.corpus,
            options=settings.options_for("corpus"),
            include=settings.include,
            exclude=settings.exclude,
            limit=settings.limit,
            label_from_parent=settings.labels == "parent",
            taken=taken,
        )
        check_apart(corpus, self.store.url)
        label_file = None
        if settings.labels not in ("none", "parent"):
            if corpus.has_labels:
                raise UsageError(f"{self.request.corpus} has labels of its own: drop --labels")
            label_file = open_label_file(
                settings.labels,
                corpus.root,
                options=settings.options_for("corpus"),
                taken=[*taken, *corpus.carried.names],
            )
        listing = Listing(corpus, label_file)
        with _writing(self.store.url):
            info = read_info(self.store)
            if info is not None and list_parts(self.store):
                check_same(info, self._wanted(listing), self.store.url)
        return listing, info

    def _wanted(self, listing: Listing) -> TableInfo:
        """Return what the table is to be; without its number of buckets, if none is asked for."""
        labels = "none"
        if self.settings.partition_by == "label" and not listing.has_labels:
            raise UsageError("partition_by is 'label', but there are no labels: give --labels")
        if listing.has_labels:
            labels = "parent" if listing.corpus.label_from_parent else "file"
        return TableInfo(
            corpus=listing.corpus.root,
            n_buckets=self.settings.buckets or 0,
            partition_by=self.settings.partition_by or ("label" if listing.has_labels else "none"),
            labels=labels,
            spec=self.request.spec.to_dict(),
            fingerprint=self.request.spec.fingerprint,
            carried=carried_types(listing.carried),
            featurelib=software_version(),
        )

    def _sized(self, wanted: TableInfo, listing: Listing) -> TableInfo:
        by_label = wanted.partition_by == "label"
        if by_label and listing.n_labels > MAX_LABELS and self.settings.partition_by is None:
            raise UsageError(
                f"there are {listing.n_labels} labels, each of which would be a folder: say"
                " --partition-by none for a flat table, or --partition-by label if you mean it"
            )
        n_columns = len(featurelib.schema(self.request.spec))
        n_labels = listing.n_labels if by_label else 1
        n_buckets = wanted.n_buckets or bucket_count(listing.n_files, n_columns, n_labels)
        return dataclasses.replace(wanted, n_buckets=n_buckets)

    def _make_or_open(self, listing: Listing, info: TableInfo | None) -> Table:
        wanted = self._wanted(listing)
        if info is None or not list_parts(self.store):
            info = self._sized(wanted, listing)
            write_info(self.store, info)
        table = Table(self.store, info)
        now = bucket_count(listing.n_files, len(table.feature_schema), listing.n_labels)
        if now > 4 * info.n_buckets and self.settings.buckets is None:
            self._note(
                f"the corpus has outgrown the table's {info.n_buckets} buckets: parts are more than"
                " four times their intended size; consider a new table"
            )
        return table

    def _prepare(self, listing: Listing, info: TableInfo) -> None:
        listing.set_buckets(info.n_buckets)
        for note in listing.check_labels(info.n_buckets):
            self._note(note)
        self.report.passed_over = listing.corpus.passed_over

    def _note(self, text: str) -> None:
        self.report.notes.append(text)
        self.log.write("note", text=text)

    def _rules(self, corpus: Corpus) -> Rules:
        keep = self.settings.keep_missing
        return Rules(
            fingerprint=self.request.spec.fingerprint,
            delete_missing=corpus.complete if keep is None else not keep,
            retry_failed=self.settings.retry_failed,
            recompute=self.settings.recompute,
            reusable_runs=self._recomputing_runs() if self.settings.recompute else None,
        )

    def _recomputing_runs(self) -> frozenset[str]:
        """Return the runs whose fragments are as new as a recomputing run wants them."""
        summaries = read_summaries(self.store)
        return frozenset(s["run_id"] for s in summaries if s.get("recompute"))

    # the steps

    def _plan(
        self, table: Table, listing: Listing, fragments: FragmentFiles, rules: Rules
    ) -> Survey:
        self.reporter.start("planning", None)
        found = survey(table, listing, fragments, rules, self.reporter.advance)
        self.report.counts = found.counts
        self.report.n_surplus = found.n_surplus
        self.report.n_reused = found.n_reused
        self.log.write("plan", counts=self.report.to_dict()["planned"], surplus=found.n_surplus)
        return found

    def _extract(
        self,
        listing: Listing,
        found: Survey,
        fragments: FragmentFiles,
        open_executor: OpenExecutor,
    ) -> Tally:
        tally = Tally(found.n_reused, found.reused_failures.copy())
        if found.work.n_files:
            job = Job(
                run_id=self.report.run_id,
                corpus=listing.corpus.address,
                table=self.request.table,
                spec=self.request.spec.to_dict(),
                code_version=code_version(),
                corpus_options=self.settings.options_for("corpus"),
                table_options=self.settings.options_for("table"),
                is_list=listing.corpus.rows is not None,
                file_timeout_s=self.settings.file_timeout_s,
                prefetch_bytes=int(self.settings.prefetch_mb * 2**20),
                extractor=self.request.extractor,
            )
            with contextlib.ExitStack() as stack:
                with self._step("cluster"):
                    executor = stack.enter_context(open_executor())
                with self._step("extract"):
                    shards = found.work.shards(executor.n_workers())
                    results = executor.run(job, shards, self.store)
                    take_in(results, found.work.n_files, fragments, tally, self.log, self.reporter)
        self.report.n_read, self.report.failures = tally.n_read, tally.failures
        return tally

    def _hold_back(self, reason: str | None) -> bool:
        if reason is not None:
            self.report.status, self.report.reason = "held", reason
        return reason is not None

    def _too_many_deleted(self, found: Survey) -> str | None:
        deleted, limit = found.counts[Change.DELETED], self.settings.max_deleted
        if deleted <= limit * found.n_held:
            return None
        return (
            f"{deleted} of the table's {found.n_held} files are gone from {self.request.corpus},"
            f" more than --max-deleted {limit:g} allows: is it all there? If they are meant to go,"
            " run again with --max-deleted 1; to keep their rows, with --keep-missing"
        )

    def _too_many_failed(self, tally: Tally) -> str | None:
        limit = self.settings.max_failed
        if tally.n_failed <= limit * tally.n_read:
            return None
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(tally.failures.items()))
        return (
            f"{tally.n_failed} of {tally.n_read} files failed ({kinds}), more than --max-failed"
            f" {limit:g} allows; what was extracted is kept, so with a higher limit the next run"
            " publishes it at once"
        )


@contextlib.contextmanager
def _writing(url: str) -> Iterator[None]:
    """Turn an error of the table's storage into one line that names it."""
    try:
        yield
    except PermissionError as error:
        raise TableError(
            f"no permission to write {url} ({error.strerror or error}): ask for it, or give"
            " another --output"
        ) from error
    except FileNotFoundError as error:
        raise TableError(f"cannot reach {url}: {error.strerror or error}") from error
    except OSError as error:
        raise TableError(f"{url}: {error.strerror or error}") from error
