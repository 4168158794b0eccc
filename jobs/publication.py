"""The merge, verify and clean steps: fragments into parts, and the books balanced."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.errors import ConflictError, TableError
from jobs.fragments import RUNS, FragmentFiles
from jobs.lease import Guard
from jobs.listing import Listing
from jobs.merge import BucketMerge
from jobs.plan import Rules
from jobs.progress import Reporter
from jobs.runlog import RunLog
from jobs.storage import Store
from jobs.storage.local import TEMPORARY
from jobs.survey import Survey
from jobs.table import Table, list_parts


@dataclass
class Published:
    """What the merge did."""

    n_rows: int = 0
    """Files with feature rows in the buckets that were merged."""
    n_errors: int = 0
    parts: int = 0
    settled: bool = True
    """False: another writer came between, and there is more to do."""


def merge_buckets(
    table: Table,
    listing: Listing,
    fragments: FragmentFiles,
    survey: Survey,
    rules: Rules,
    run_id: str,
    guard: Guard,
    log: RunLog,
    reporter: Reporter,
) -> Published:
    """Publish every bucket that changes.

    Raises
    ------
    TableError
        If a bucket's books do not balance: nothing of that bucket is written then.
    TableBusyError
        If this driver may not write any more.
    """
    published = Published()
    reporter.start("publishing", None)
    for bucket, n_expected in survey.touched.items():

        def may_write() -> None:
            reporter.step("promote")
            guard.check()

        try:
            merge = BucketMerge(
                table, bucket, listing.items(bucket), fragments.of_bucket(bucket), rules, run_id
            )
            if merge.unfinished:
                raise TableError(
                    f"what was extracted of {len(merge.unfinished)} files cannot be found again"
                    f" ({merge.unfinished[0]!r} is one): nothing of their bucket was written; run"
                    " the same command again"
                )
            n_rows, n_errors = merge.accounts()
            if n_rows + n_errors != n_expected:
                raise TableError(
                    f"bucket {bucket} was planned to hold {n_expected} files and would hold"
                    f" {n_rows} with features and {n_errors} errors: nothing of it was written;"
                    " please report it"
                )
            merged = merge.publish(may_write, lambda: reporter.step("promoted"))
        except ConflictError as error:
            log.write("conflict", bucket=bucket, message=str(error))
            published.settled = False
            continue
        log.write("merged", bucket=bucket, rows=n_rows, errors=n_errors, parts=merged.parts_written)
        published.n_rows += n_rows
        published.n_errors += n_errors
        published.parts += len(merged.parts_written)
        reporter.advance(n_rows + n_errors)
    reporter.stop()
    return published


def verify(table: Table, survey: Survey) -> bool:
    """Read back what was published.

    Returns
    -------
    bool
        False where a part is not what this run read or wrote: another writer's work, to be
        planned again.

    Raises
    ------
    TableError
        If a bucket holds a file twice, or not as many files as planned.
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
    return True


def delete_leftovers(store: Store) -> None:
    """Delete what writers that were killed did not finish. Only for who holds the table."""
    try:
        for page in store.scan(TEMPORARY):
            store.delete([entry.name for entry in page])
    except FileNotFoundError:
        return


def list_fragments(store: Store, run_id: str | None = None) -> FragmentFiles:
    """Return all fragments that runs left behind, or that one run did."""
    found = FragmentFiles()
    try:
        for page in store.scan(RUNS if run_id is None else f"{RUNS}/{run_id}"):
            for entry in page:
                found.add(entry.name)
    except FileNotFoundError:
        pass
    return found
