"""The merge, verify and clean steps: fragments into parts, and the books balanced."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from jobs.corpus.listing import Listing
from jobs.diagnostics.progress import Reporter
from jobs.diagnostics.run_log import RunLog
from jobs.errors import ConflictError, TableError
from jobs.storage.base import Store
from jobs.storage.local import TEMPORARY
from jobs.table.changes import PlanOptions
from jobs.table.lock import WriteGuard
from jobs.table.merge import BucketMerge, DamagedStagedFileError, MergedBucket
from jobs.table.parts import list_parts
from jobs.table.planning import RunPlan
from jobs.table.reader import Table
from jobs.table.staging import StagedFiles


@dataclass
class CommitResult:
    """What the merge did."""

    n_files: int = 0
    """Files with feature rows in the buckets that were merged."""
    n_errors: int = 0
    """Files with an error row in these."""
    rows: dict[int, int] = field(default_factory=dict)
    """Feature rows by bucket."""
    parts: int = 0
    settled: bool = True
    """False: another writer came between, and there is more to do."""


class Commit:
    """Publishes the buckets of a table that change.

    Rows that go from one part to another are in both for a while: first all parts take in
    what they gain, and only after a time of grace do parts give up what went elsewhere.
    So a reader that opens the table between the two misses nothing, and one whose scan is
    shorter than the grace misses nothing either.

    Parameters
    ----------
    table, listing, fragments, survey, rules
        What is there, what should be, what was extracted, and what is to be done.
    run_id : str
        The run.
    guard : WriteGuard
        Asked before every write.
    log : RunLog
        Told what was written.
    reporter : Reporter
        Hears of every write.
    """

    def __init__(
        self,
        table: Table,
        listing: Listing,
        fragments: StagedFiles,
        survey: RunPlan,
        rules: PlanOptions,
        run_id: str,
        guard: WriteGuard,
        log: RunLog,
        reporter: Reporter,
    ) -> None:
        self._table, self._listing, self._fragments = table, listing, fragments
        self._survey, self._rules, self._run_id = survey, rules, run_id
        self._guard, self._log, self._reporter = guard, log, reporter

    def publish(self, grace_s: float) -> CommitResult:
        """Publish every bucket that changes.

        Parameters
        ----------
        grace_s : float
            How long rows that move stay in both of their parts.

        Raises
        ------
        TableError
            If a bucket's books do not balance: nothing of that bucket is written then.
        TableBusyError
            If this driver may not write any more.
        """
        published = CommitResult()
        moving: list[int] = []
        features_move = False
        self._reporter.start("publishing", None)
        for bucket in self._survey.touched:
            merged = self._merge(bucket, published, keep_moving=True)
            if merged is None:
                continue
            published.n_files += merged.n_files
            published.n_errors += merged.n_errors
            self._reporter.advance(merged.n_files + merged.n_errors)
            if merged.moving:
                moving.append(bucket)
                features_move = features_move or merged.moving_features
        if features_move:
            time.sleep(grace_s)  # for readers, of whom nothing is known
        for bucket in moving:
            self._merge(bucket, published, keep_moving=False)
        self._reporter.stop()
        return published

    def _merge(
        self, bucket: int, published: CommitResult, *, keep_moving: bool
    ) -> MergedBucket | None:
        """Publish one bucket; None where another writer came between."""
        items = self._listing.items(bucket)
        names = self._fragments.of_bucket(bucket)
        try:
            with BucketMerge(self._table, bucket, items, names, self._rules, self._run_id) as merge:
                self._check_books(merge, bucket)
                merged = merge.publish(
                    self._check_lock,
                    lambda: self._reporter.step("promoted"),
                    keep_moving=keep_moving,
                )
        except (ConflictError, DamagedStagedFileError) as error:
            if isinstance(error, DamagedStagedFileError):  # or the next plan would count on it
                self._guard.check()
                self._fragments.discard(error.name)
                self._table.store.delete([error.name])
            self._log.write("conflict", bucket=bucket, message=str(error))
            published.settled = False
            return None
        published.rows[bucket] = merged.n_rows
        published.parts += len(merged.parts_written)
        self._log.write(
            "merged",
            bucket=bucket,
            files=merged.n_files,
            rows=merged.n_rows,
            errors=merged.n_errors,
            parts=merged.parts_written,
        )
        return merged

    def _check_books(self, merge: BucketMerge, bucket: int) -> None:
        if merge.unfinished:
            raise TableError(
                f"what was extracted of {len(merge.unfinished)} files cannot be found again"
                f" ({merge.unfinished[0]!r} is one): nothing of their bucket was written; run the"
                " same command again"
            )
        n_files, n_errors = merge.accounts()
        n_expected = self._survey.touched[bucket]
        if n_files + n_errors != n_expected:
            raise TableError(
                f"bucket {bucket} was planned to hold {n_expected} files and would hold {n_files}"
                f" with features and {n_errors} errors: nothing of it was written; please report it"
            )

    def _check_lock(self) -> None:
        self._reporter.step("promote")
        self._guard.check()


def verify(table: Table, survey: RunPlan, n_rows: Mapping[int, int]) -> bool:
    """Read back what was published.

    Parameters
    ----------
    table : Table
        The table.
    survey : RunPlan
        How many files each bucket is to hold.
    n_rows : mapping
        How many rows of features each bucket was given.

    Returns
    -------
    bool
        False where a part is not what this run read or wrote: another writer's work, to be
        planned again.

    Raises
    ------
    TableError
        If a bucket holds a file twice, or not as many files or rows as it should.
    """
    if list_parts(table.store) != table.parts:
        return False
    for bucket, n_expected in survey.touched.items():
        held = table.held(bucket)
        twice = next((path for path, entries in held.items() if len(entries) > 1), None)
        if twice is not None:
            raise TableError(f"{table.store.url} holds {twice!r} twice; please report it")
        if len(held) != n_expected:
            raise TableError(
                f"bucket {bucket} of {table.store.url} holds {len(held)} files instead of"
                f" {n_expected}; please report it"
            )
        n_found = sum(table.n_rows_by_part(bucket).values())
        if n_found != n_rows[bucket]:
            raise TableError(
                f"bucket {bucket} of {table.store.url} holds {n_found} rows of features instead"
                f" of {n_rows[bucket]}; please report it"
            )
    return True


def delete_leftovers(store: Store) -> None:
    """Delete what writers that were killed did not finish. Only for who holds the table."""
    try:
        for page in store.scan(TEMPORARY):
            store.delete([entry.name for entry in page])
    except FileNotFoundError:
        return
