"""The planning pass: a listing against a table, bucket by bucket, and what is found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa

from jobs.corpus.listing import Listing
from jobs.corpus.source_file import SourceFile
from jobs.table.changes import Change, Outcome, PlanOptions, TableEntry, is_reusable, plan_bucket
from jobs.table.pending import PendingFiles
from jobs.table.reader import Table
from jobs.table.schema import PATH
from jobs.table.signs import signs_of, values_of
from jobs.table.staging import StagedFiles, outcomes_of, read_outcomes


@dataclass
class RunPlan:
    """What is to be done in all buckets.

    Attributes
    ----------
    work : PendingFiles
        Files to extract.
    counts : Counter
        Files by planning class.
    n_surplus : int
        Entries that leave because their file has another.
    n_held : int
        Files that the table holds now.
    n_reused : int
        Files that need no extraction, because a fragment has them.
    reused_failures : Counter
        Those of them that are errors, by kind.
    reused_signs : Counter
        What the first rows of the others say of their audio: see `jobs.table.signs`.
    spent : list of str
        Fragments that are of no use once this run has published: what they have is in the
        table, or of files that are gone. Files that are not in a part of the corpus may
        have their use yet.
    touched : dict
        For each bucket that changes, how many files it is to hold.
    n_files_untouched, n_rows_untouched, n_errors_untouched : int
        Files with features in the other buckets, their rows, and files that are errors.
    """

    work: PendingFiles = field(default_factory=PendingFiles)
    counts: Counter[Change] = field(default_factory=Counter)
    n_surplus: int = 0
    n_held: int = 0
    n_reused: int = 0
    reused_failures: Counter[str] = field(default_factory=Counter)
    reused_signs: Counter[str] = field(default_factory=Counter)
    spent: list[str] = field(default_factory=list)
    touched: dict[int, int] = field(default_factory=dict)
    n_files_untouched: int = 0
    n_rows_untouched: int = 0
    n_errors_untouched: int = 0


def survey(
    table: Table,
    listing: Listing,
    fragments: StagedFiles,
    rules: PlanOptions,
    on_bucket: Callable[[int], None] = lambda n_files: None,
) -> RunPlan:
    """Plan every bucket.

    Parameters
    ----------
    table : Table
        What is there.
    listing : Listing
        What should be there.
    fragments : StagedFiles
        What was extracted already, and not merged.
    rules : PlanOptions
        The run's options.
    on_bucket : callable
        Told the number of files of each bucket that is planned.
    """
    found = RunPlan(spent=fragments.beyond(table.info.n_buckets))
    for bucket in range(table.info.n_buckets):
        held = table.held(bucket)
        outcomes = read_outcomes(
            table.store, fragments.of_bucket(bucket), table.staged_schema, table.origin
        )
        if listing.corpus.stated is not None:
            listing.look_up(bucket, _known_versions(held, outcomes))
        items = listing.items(bucket)
        plan = plan_bucket(items, held, rules)
        found.counts += plan.counts
        found.n_surplus += plan.n_surplus
        found.n_held += plan.n_held
        if plan.has_changes:
            found.touched[bucket] = plan.n_after
        else:
            found.n_errors_untouched += plan.n_held_errors
            found.n_files_untouched += plan.n_after - plan.n_held_errors
            found.n_rows_untouched += sum(table.n_rows_by_part(bucket).values())
        reused = _reuse(outcomes, items, rules, found)
        for item in plan.extract:
            if item.path in reused:
                outcome, signs = reused[item.path]
                found.n_reused += 1
                found.reused_signs.update(signs)
                if outcome.error_kind is not None:
                    found.reused_failures[outcome.error_kind] += 1
        found.work.add(bucket, [item for item in plan.extract if item.path not in reused])
        on_bucket(len(items))
    return found


def _known_versions(
    held: dict[str, list[TableEntry]], outcomes: dict[str, pa.Table]
) -> dict[str, set[str]]:
    """Return, by path, the versions that a bucket's parts have; or else, that fragments have."""
    known = {path: {entry.version for entry in entries} for path, entries in held.items()}
    in_fragments: dict[str, set[str]] = {}
    for rows in outcomes.values():
        columns = (rows[column].to_pylist() for column in (PATH, "source_version"))
        for path, version in zip(*columns, strict=True):
            in_fragments.setdefault(path, set()).add(version)
    return in_fragments | known


def _reuse(
    outcomes: dict[str, pa.Table], items: dict[str, SourceFile], rules: PlanOptions, found: RunPlan
) -> dict[str, tuple[Outcome, list[str]]]:
    """Return what fragments have of a bucket's files, and note those that have nothing else.

    With each outcome come the signs of its first row, see `jobs.table.signs`.
    """
    for name, rows in outcomes.items():
        if rules.delete_missing or items.keys() >= set(rows[PATH].to_pylist()):
            found.spent.append(name)
    values = {name: values_of(rows) for name, rows in outcomes.items()}
    usable_here = outcomes_of(outcomes, lambda o: is_reusable(o, items.get(o.path), rules))
    return {
        path: (outcome, signs_of(*values[name][index]) if outcome.error_kind is None else [])
        for path, (outcome, name, index) in usable_here.items()
    }
