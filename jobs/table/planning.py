"""Plan a run: compare the listing with the table, by hash bucket."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pyarrow as pa

from jobs.corpus.source_file import SourceFile
from jobs.diagnostics.events import Counted, Planned, counting
from jobs.table.changes import (
    Change,
    Outcome,
    PlanOptions,
    TableEntry,
    is_reusable,
    plan_bucket,
)
from jobs.table.pending import PendingFiles
from jobs.table.schema import PATH
from jobs.table.signs import signs_of, values_of
from jobs.table.staging import outcomes_of, read_outcomes
from jobs.table.transaction import Transaction


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
    plan = RunPlan(obsolete=run.staged.beyond(run.table.metadata.n_buckets))
    with counting(run.notify, "planning"):
        for bucket in range(run.table.metadata.n_buckets):
            run.notify(Counted(_plan_bucket(run, bucket, plan)))
    run.notify(
        Planned(plan.counts, plan.n_surplus, plan.n_reused, plan.reused_failures, plan.reused_signs)
    )
    return plan


def _plan_bucket(run: Transaction, bucket: int, plan: RunPlan) -> int:
    """Add a hash bucket to the plan; return its number of listed files."""
    table, listing = run.table, run.listing
    held = table.held(bucket)
    outcomes = read_outcomes(
        table.store, run.staged.of_bucket(bucket), table.staged_schema, table.origin
    )
    if listing.corpus.stated is not None:
        listing.look_up(bucket, _known_versions(held, outcomes))
    items = listing.items(bucket)
    bucket_plan = plan_bucket(items, held, run.options)
    plan.counts += bucket_plan.counts
    plan.n_surplus += bucket_plan.n_surplus
    plan.n_held += bucket_plan.n_held
    if bucket_plan.has_changes:
        plan.changed[bucket] = bucket_plan.n_after
    else:
        plan.n_errors_unchanged += bucket_plan.n_held_errors
        plan.n_files_unchanged += bucket_plan.n_after - bucket_plan.n_held_errors
        plan.n_rows_unchanged += sum(table.n_rows_by_part(bucket).values())
    reused = _reuse(outcomes, items, run.options)
    for item in bucket_plan.extract:
        if item.path in reused:
            outcome, signs = reused[item.path]
            plan.n_reused += 1
            plan.reused_signs.update(signs)
            if outcome.error_kind is not None:
                plan.reused_failures[outcome.error_kind] += 1
    plan.pending.add(bucket, [item for item in bucket_plan.extract if item.path not in reused])
    plan.obsolete += [
        name
        for name, rows in outcomes.items()
        if run.options.delete_missing or items.keys() >= set(rows[PATH].to_pylist())
    ]
    return len(items)


def _known_versions(
    held: dict[str, list[TableEntry]], outcomes: dict[str, pa.Table]
) -> dict[str, set[str]]:
    """Return the extracted versions by path: in the parts, or else in the staged files."""
    known = {path: {entry.version for entry in entries} for path, entries in held.items()}
    staged: dict[str, set[str]] = {}
    for rows in outcomes.values():
        columns = (rows[column].to_pylist() for column in (PATH, "source_version"))
        for path, version in zip(*columns, strict=True):
            staged.setdefault(path, set()).add(version)
    return staged | known


def _reuse(
    outcomes: dict[str, pa.Table], items: dict[str, SourceFile], options: PlanOptions
) -> dict[str, tuple[Outcome, list[str]]]:
    """Return the reusable staged outcomes, by path, each with its signs."""
    values = {name: values_of(rows) for name, rows in outcomes.items()}
    reusable = outcomes_of(outcomes, lambda o: is_reusable(o, items.get(o.path), options))
    return {
        path: (outcome, signs_of(*values[name][index]) if outcome.error_kind is None else [])
        for path, (outcome, name, index) in reusable.items()
    }
