"""Commit a run: merge staged rows into the parts of the table, then verify them.

Rows that move from one part to another are in both for a while. First every part gains its
new rows. After a grace period, parts lose the rows that moved away. So no row is missing for
a reader that opens the table in between, or whose scan is shorter than the grace period.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from jobs.corpus.hashing import path_hashes
from jobs.corpus.partitioned_rows import repeated
from jobs.diagnostics.events import (
    BucketCommitted,
    Committed,
    Conflict,
    Counted,
    Note,
    counting,
)
from jobs.errors import ConflictError, TableError
from jobs.storage.parallel import in_threads
from jobs.storage.parquet import read_groups
from jobs.table.images import unnamed_images
from jobs.table.layout import IMAGES, is_errors
from jobs.table.merge import BucketMerge, DamagedStagedFileError
from jobs.table.parts import list_parts
from jobs.table.planning import RunPlan
from jobs.table.prepared import MergedBucket, PreparedBucket
from jobs.table.reader import Table
from jobs.table.schema import IMAGE
from jobs.table.staging import list_staged, open_staged
from jobs.table.transaction import Transaction

#: Number of hash buckets that are prepared at the same time, while another one is written.
_PREPARED_AT_ONCE = 2


@dataclass
class CommitResult:
    """The result of a commit.

    Attributes
    ----------
    n_rows : dict
        Number of feature rows of each merged hash bucket.
    has_conflict : bool
        Whether another writer changed a bucket meanwhile, so that the run must be planned
        again.
    """

    n_rows: dict[int, int] = field(default_factory=dict)
    has_conflict: bool = False


def commit(run: Transaction, plan: RunPlan, grace_s: float) -> CommitResult:
    """Merge every changed hash bucket into the table.

    Parameters
    ----------
    run, plan
        The run and its plan.
    grace_s : float
        Grace period: how long moving rows stay in both parts [s].

    Raises
    ------
    TableError
        If a bucket would not hold the planned files. Nothing of that bucket is written.
    TableBusyError
        If this driver has lost the write lock.
    """
    result = CommitResult()
    n_files, n_errors = plan.n_files_unchanged, plan.n_errors_unchanged
    moving: list[int] = []
    features_move = False
    with counting(run.notify, "publishing"), contextlib.ExitStack() as stack:
        gaining = _committed(run, plan, [*plan.changed], result, keep_moving=True)
        for bucket, merged in stack.enter_context(contextlib.closing(gaining)):
            n_files += merged.n_files
            n_errors += merged.n_errors
            run.notify(Counted(merged.n_files + merged.n_errors))
            if merged.moving:
                moving.append(bucket)
                features_move = features_move or merged.moving_features
        if features_move:
            time.sleep(grace_s)  # readers are not tracked, so give them time to finish
        losing = _committed(run, plan, moving, result, keep_moving=False)
        for _ in stack.enter_context(contextlib.closing(losing)):
            pass
    run.notify(Committed(n_files, plan.n_rows_unchanged + sum(result.n_rows.values()), n_errors))
    return result


def _committed(
    run: Transaction,
    plan: RunPlan,
    buckets: Sequence[int],
    result: CommitResult,
    *,
    keep_moving: bool,
) -> Generator[tuple[int, MergedBucket], None, None]:
    """Commit hash buckets in order, and yield those that no other writer changed meanwhile.

    Threads prepare the merges ahead. They only read: all that is written, and told to the
    observer, is so here, bucket by bucket.
    """
    over = threading.Event()
    waiting: dict[int, PreparedBucket] = {}

    def prepare(bucket: int) -> PreparedBucket | ConflictError | DamagedStagedFileError:
        try:
            with BucketMerge(run, bucket) as merge:
                _check_counts(merge, bucket, plan.changed[bucket])
                waiting[bucket] = merge.prepare(keep_moving=keep_moving, is_over=over.is_set)
        except (ConflictError, DamagedStagedFileError) as error:
            return error
        return waiting[bucket]

    found = in_threads(prepare, buckets, _PREPARED_AT_ONCE)
    try:
        for bucket, prepared in zip(buckets, found, strict=True):
            with waiting.pop(bucket, contextlib.nullcontext()):
                merged = _commit_bucket(run, bucket, prepared, result)
            pa.default_memory_pool().release_unused()  # what Arrow keeps for threads that ended
            if merged is not None:
                yield bucket, merged
    finally:
        over.set()
        found.close()  # waits for the threads
        for unused in waiting.values():
            unused.__exit__()


def _commit_bucket(
    run: Transaction,
    bucket: int,
    prepared: PreparedBucket | ConflictError | DamagedStagedFileError,
    result: CommitResult,
) -> MergedBucket | None:
    """Commit one hash bucket; return None if another writer changed it meanwhile."""
    try:
        if not isinstance(prepared, PreparedBucket):
            raise prepared
        merged = prepared.commit()
    except (ConflictError, DamagedStagedFileError) as error:
        if isinstance(error, DamagedStagedFileError):  # the next plan must not use it
            run.lock.check()
            run.staged.discard(error.name)
            run.table.store.delete([error.name])
        run.notify(Conflict(bucket, str(error)))
        result.has_conflict = True
        return None
    result.n_rows[bucket] = merged.n_rows
    run.notify(
        BucketCommitted(
            bucket, merged.n_files, merged.n_rows, merged.n_errors, merged.parts_written
        )
    )
    return merged


def _check_counts(merge: BucketMerge, bucket: int, n_expected: int) -> None:
    if len(merge.unfinished):
        example = merge.unfinished[0].as_py()
        raise TableError(
            f"what was extracted of {len(merge.unfinished)} files cannot be found again"
            f" ({example!r} is one): nothing of their bucket was written; run the"
            " same command again"
        )
    n_files, n_errors = merge.n_files_and_errors()
    if n_files + n_errors != n_expected:
        raise TableError(
            f"bucket {bucket} was planned to hold {n_expected} files and would hold {n_files}"
            f" with features and {n_errors} errors: nothing of it was written; please report it"
        )


def verify(run: Transaction, plan: RunPlan, result: CommitResult) -> bool:
    """Read the committed hash buckets back and count their files and rows.

    Returns
    -------
    bool
        False if another writer changed a part meanwhile. The run must be planned again.

    Raises
    ------
    TableError
        If a bucket holds a file twice, or a wrong number of files or rows.
    """
    table = run.table
    if list_parts(table.store) != table.parts:
        return False
    for bucket, paths in table.each_bucket(table.paths, plan.changed):
        n_expected = plan.changed[bucket]
        if (duplicate := repeated(paths)) is not None:
            raise TableError(f"{table.store.url} holds {duplicate!r} twice; please report it")
        if len(paths) != n_expected:
            raise TableError(
                f"bucket {bucket} of {table.store.url} holds {len(paths)} files instead of"
                f" {n_expected}; please report it"
            )
        n_rows = sum(table.n_rows_by_part(bucket).values())
        if n_rows != result.n_rows[bucket]:
            raise TableError(
                f"bucket {bucket} of {table.store.url} holds {n_rows} rows of features instead"
                f" of {result.n_rows[bucket]}; please report it"
            )
    return True


def clean_up(run: Transaction, plan: RunPlan) -> None:
    """Delete the staged files that are not needed any more."""
    run.lock.check()
    # listed again: a worker may have died between staging a file and telling the driver
    own = list_staged(run.table.store, run.run_id)
    run.table.store.delete([*plan.obsolete, *own.names()])
    if run.table.images is not None:
        _clean_up_images(run)


def _clean_up_images(run: Transaction) -> None:
    """Delete the images that no row names: their files are gone, changed or failed."""
    table = run.table
    names = (table.read_columns(part, [IMAGE]) for part in table.parts if not is_errors(part))
    named = _hashes(names)
    # a run over another part of the corpus, which was killed, has left images and rows of theirs
    waiting = _hashes(_staged_names(table))
    unnamed, n_lost = unnamed_images(table.store, named, waiting)
    run.lock.check()
    table.store.delete(unnamed)
    if unnamed:  # readers take folders for labels
        table.store.delete_empty_folders(IMAGES)
    if n_lost:
        run.notify(
            Note(f"{n_lost} images were deleted by others: run the same command again to make them")
        )


def _staged_names(table: Table) -> Iterator[pa.Table]:
    for name in list_staged(table.store).names():
        source, _ = table.store.open(name)
        with source:
            if file := open_staged(source, table.staged_schema, table.origin):
                yield read_groups(file, [IMAGE])


def _hashes(names: Iterable[pa.Table]) -> np.ndarray:
    columns = (rows[IMAGE].drop_null().combine_chunks() for rows in names)
    return np.concatenate([np.zeros(0, np.uint64), *map(path_hashes, columns)])
