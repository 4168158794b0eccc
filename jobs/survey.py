"""The planning pass: a listing against a table, bucket by bucket, and what is found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from jobs.fragments import FragmentFiles, outcomes_of, read_fragments
from jobs.listing import Listing
from jobs.plan import Change, Held, Item, Outcome, Rules, plan_bucket, usable
from jobs.schema import PATH
from jobs.signs import COLUMNS, signs_of
from jobs.table import Table
from jobs.work import Work


@dataclass
class Survey:
    """What is to be done in all buckets.

    Attributes
    ----------
    work : Work
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
        What the rows of the others say of their audio: see `jobs.signs`.
    spent : list of str
        Fragments that are of no use once this run has published: what they have is in the
        table, or of files that are gone. Files that are not in a part of the corpus may
        have their use yet.
    touched : dict
        For each bucket that changes, how many files it is to hold.
    n_rows_untouched, n_errors_untouched : int
        Files in the other buckets.
    """

    work: Work = field(default_factory=Work)
    counts: Counter[Change] = field(default_factory=Counter)
    n_surplus: int = 0
    n_held: int = 0
    n_reused: int = 0
    reused_failures: Counter[str] = field(default_factory=Counter)
    reused_signs: Counter[str] = field(default_factory=Counter)
    spent: list[str] = field(default_factory=list)
    touched: dict[int, int] = field(default_factory=dict)
    n_rows_untouched: int = 0
    n_errors_untouched: int = 0


def survey(
    table: Table,
    listing: Listing,
    fragments: FragmentFiles,
    rules: Rules,
    on_bucket: Callable[[int], None] = lambda n_files: None,
) -> Survey:
    """Plan every bucket.

    Parameters
    ----------
    table : Table
        What is there.
    listing : Listing
        What should be there.
    fragments : FragmentFiles
        What was extracted already, and not merged.
    rules : Rules
        The run's options.
    on_bucket : callable
        Told the number of files of each bucket that is planned.
    """
    found = Survey(spent=fragments.beyond(table.info.n_buckets))
    for bucket in range(table.info.n_buckets):
        held, names = table.held(bucket), fragments.of_bucket(bucket)
        if listing.corpus.stated is not None:
            listing.look_up(bucket, _known_versions(table, held, names))
        items = listing.items(bucket)
        plan = plan_bucket(items, held, rules)
        found.counts += plan.counts
        found.n_surplus += plan.n_surplus
        found.n_held += plan.n_held
        if plan.touches:
            found.touched[bucket] = plan.n_after
        else:
            found.n_errors_untouched += plan.n_held_errors
            found.n_rows_untouched += plan.n_after - plan.n_held_errors
        reused = _reuse(table, names, items, rules, found)
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
    table: Table, held: dict[str, list[Held]], names: list[str]
) -> dict[str, set[str]]:
    """Return, by path, the versions that a bucket's parts have; or else, that fragments have."""
    known = {path: {entry.version for entry in entries} for path, entries in held.items()}
    in_fragments: dict[str, set[str]] = {}
    for name in names:
        rows = read_fragments(table.store, [name], table.fragment_schema, table.origin)
        columns = (rows[column].to_pylist() for column in (PATH, "source_version"))
        for path, version in zip(*columns, strict=True):
            in_fragments.setdefault(path, set()).add(version)
    return in_fragments | known


def _reuse(
    table: Table, names: list[str], items: dict[str, Item], rules: Rules, found: Survey
) -> dict[str, tuple[Outcome, list[str]]]:
    """Return what fragments have of a bucket's files, and note those that have nothing else.

    With each outcome come the signs of its row, see `jobs.signs`.
    """
    outcomes: dict[str, tuple[Outcome, list[str]]] = {}
    for name in names:
        rows = read_fragments(table.store, [name], table.fragment_schema, table.origin)
        if rules.delete_missing or items.keys() >= set(rows[PATH].to_pylist()):
            found.spent.append(name)
        usable_here = outcomes_of(rows, lambda o: usable(o, items.get(o.path), rules))
        values = list(zip(*(rows[name].to_pylist() for name in COLUMNS), strict=True))
        for path, (outcome, index) in usable_here.items():
            signs = signs_of(*values[index]) if outcome.error_kind is None else []
            outcomes[path] = (outcome, signs)
    return outcomes
