"""Plan a run: compare the listing with the table, by hash bucket."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from jobs.diagnostics.events import Counted, Planned, counting
from jobs.table.changes import Change, compare, usable_outcomes
from jobs.table.pending import PendingFiles
from jobs.table.schema import ERROR_KIND, LABEL, PATH
from jobs.table.signs import count_signs, count_values
from jobs.table.staging import read_outcomes
from jobs.table.transaction import Transaction

#: Columns of the listing that extraction needs.
_PENDING = (PATH, "size_bytes", "source_version")


@dataclass
class RunPlan:
    """The plan of a run, for all hash buckets.

    Attributes
    ----------
    pending : PendingFiles
        Files to extract.
    counts : Counter
        Number of files by planning class.
    n_surplus : int
        Number of entries that leave the table because their file has another entry.
    n_vanished : int
        Number of deleted files of which the table says only that they had vanished before.
    n_held : int
        Number of files in the table now.
    n_reused : int
        Number of files that need no extraction because their rows are staged.
    reused_failures : Counter
        Number of reused files that are errors, by kind.
    reused_signs : Counter
        Signs of the other reused files: see `jobs.table.signs`.
    obsolete : list of str
        Staged files to delete after this run: their rows are in the table then, or their
        files are gone. A run over a part of the corpus keeps other staged files.
    changed : dict
        Number of files to hold after the run, for each changed bucket.
    n_files_unchanged, n_rows_unchanged, n_errors_unchanged : int
        In the other buckets: files with features, their rows, and files with an error.
    """

    pending: PendingFiles = field(default_factory=PendingFiles)
    counts: Counter[Change] = field(default_factory=Counter)
    n_surplus: int = 0
    n_vanished: int = 0
    n_held: int = 0
    n_reused: int = 0
    reused_failures: Counter[str] = field(default_factory=Counter)
    reused_signs: Counter[str] = field(default_factory=Counter)
    obsolete: list[str] = field(default_factory=list)
    changed: dict[int, int] = field(default_factory=dict)
    n_files_unchanged: int = 0
    n_rows_unchanged: int = 0
    n_errors_unchanged: int = 0


def plan_run(run: Transaction) -> RunPlan:
    """Plan every bucket.

    Raises
    ------
    TableError
        If a part of the table cannot be read.
    UsageError
        If the corpus lists a path twice.
    """
    table, buckets = run.table, range(run.table.metadata.n_buckets)
    plan = RunPlan(obsolete=run.staged.beyond(len(buckets)))
    with counting(run.notify, "planning"):
        for bucket, held in table.each_bucket(table.held, buckets):
            run.notify(Counted(_plan_bucket(run, bucket, held, plan)))
    run.notify(
        Planned(plan.counts, plan.n_surplus, plan.n_reused, plan.reused_failures, plan.reused_signs)
    )
    return plan


def _plan_bucket(run: Transaction, bucket: int, held: pa.Table, plan: RunPlan) -> int:
    """Add a hash bucket to the plan; return its number of listed files."""
    table, listing = run.table, run.listing
    staged = read_outcomes(
        table.store, run.staged.of_bucket(bucket), table.staged_schema, table.origin
    )
    if listing.corpus.is_stated:
        listing.look_up(bucket, held, staged.values())
    items = listing.items(bucket)
    compared = compare(items, held, run.options)
    plan.counts += compared.counts
    plan.n_surplus += compared.n_surplus
    plan.n_vanished += compared.n_vanished
    plan.n_held += compared.n_held
    if compared.has_changes:
        plan.changed[bucket] = compared.n_after
    else:
        plan.n_errors_unchanged += compared.n_kept_errors
        plan.n_files_unchanged += compared.n_after - compared.n_kept_errors
        plan.n_rows_unchanged += sum(table.n_rows_by_part(bucket).values())
    names = [*_PENDING, LABEL] if run.options.label_decides else _PENDING
    extract = items.select(names).take(pa.array(compared.extract))
    if staged:
        extract = _without_reused(extract, items, pa.concat_tables(staged.values()), run, plan)
    plan.pending.add(bucket, extract.sort_by(PATH))
    plan.obsolete += [
        name
        for name, rows in staged.items()
        if run.options.delete_missing or pc.all(pc.is_in(rows[PATH], _values(items))).as_py()
    ]
    return len(items)


def _without_reused(
    extract: pa.Table, items: pa.Table, outcomes: pa.Table, run: Transaction, plan: RunPlan
) -> pa.Table:
    """Return the files to extract that have no reusable staged rows; count the others."""
    usable = outcomes.take(pa.array(usable_outcomes(outcomes, items, run.options)))
    reused = usable.filter(pc.is_in(usable[PATH], _values(extract)))
    plan.n_reused += len(reused)
    is_good = pc.is_null(reused[ERROR_KIND])
    plan.reused_signs += count_signs(reused.filter(is_good))
    plan.reused_failures += count_values(reused[ERROR_KIND].drop_null())
    return extract.filter(pc.invert(pc.is_in(extract[PATH], _values(reused))))


def _values(rows: pa.Table) -> pa.Array:
    return rows[PATH].combine_chunks()
