"""The plan of a run: the listing compared with the table, bucket by bucket."""

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
    """What a run has to do in all buckets.

    Attributes
    ----------
    pending : PendingFiles
        Files to extract.
    counts : Counter
        Files by planning class.
    n_surplus : int
        Entries that leave the table because their file has another one.
    n_held : int
        Files that the table holds now.
    n_reused : int
        Files that need no extraction, because their rows are staged.
    reused_failures : Counter
        Number of reused files that are errors, by kind.
    reused_signs : Counter
        Signs of the other reused files: see `jobs.table.signs`.
    obsolete : list of str
        Staged files that nobody needs after this run: their rows are then in the table, or
        belong to files that are gone. A run over a part of the corpus keeps the others.
    changed : dict
        Each bucket that changes, and how many files it is to hold.
    n_files_unchanged, n_rows_unchanged, n_errors_unchanged : int
        Files with features in the other buckets, their rows, and files that are errors.
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
    """Add one bucket to the plan, and return how many files it lists."""
    table, listing = run.table, run.listing
    held = table.held(bucket)
    outcomes = read_outcomes(
        table.store, run.staged.of_bucket(bucket), table.staged_schema, table.origin
    )
    if listing.corpus.stated is not None:
        listing.look_up(bucket, _known_versions(held, outcomes))
    items = listing.items(bucket)
    of_bucket = plan_bucket(items, held, run.options)
    plan.counts += of_bucket.counts
    plan.n_surplus += of_bucket.n_surplus
    plan.n_held += of_bucket.n_held
    if of_bucket.has_changes:
        plan.changed[bucket] = of_bucket.n_after
    else:
        plan.n_errors_unchanged += of_bucket.n_held_errors
        plan.n_files_unchanged += of_bucket.n_after - of_bucket.n_held_errors
        plan.n_rows_unchanged += sum(table.n_rows_by_part(bucket).values())
    reused = _reuse(outcomes, items, run.options)
    for item in of_bucket.extract:
        if item.path in reused:
            outcome, signs = reused[item.path]
            plan.n_reused += 1
            plan.reused_signs.update(signs)
            if outcome.error_kind is not None:
                plan.reused_failures[outcome.error_kind] += 1
    plan.pending.add(bucket, [item for item in of_bucket.extract if item.path not in reused])
    plan.obsolete += [
        name
        for name, rows in outcomes.items()
        if run.options.delete_missing or items.keys() >= set(rows[PATH].to_pylist())
    ]
    return len(items)


def _known_versions(
    held: dict[str, list[TableEntry]], outcomes: dict[str, pa.Table]
) -> dict[str, set[str]]:
    """Return, by path, the versions that a bucket's parts have, or else its staged files."""
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
    """Return the staged outcomes that this run may use, by path, each with its signs."""
    values = {name: values_of(rows) for name, rows in outcomes.items()}
    reusable = outcomes_of(outcomes, lambda o: is_reusable(o, items.get(o.path), options))
    return {
        path: (outcome, signs_of(*values[name][index]) if outcome.error_kind is None else [])
        for path, (outcome, name, index) in reusable.items()
    }
