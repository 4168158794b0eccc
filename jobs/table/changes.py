"""What is to be done: a listing against what the table holds. Pure functions, no I/O.

For every path there is a listing's `SourceFile`, or none, and the table's `TableEntry` entries, in
whichever parts they are: usually one, but a run that was killed between two promotions
can leave the same file in two parts. `resolve` says what becomes of each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from jobs.corpus.source_file import SourceFile
from jobs.errors import CONTENT_KINDS, ENVIRONMENT_KINDS


class Change(StrEnum):
    """Planning class of a path."""

    NEW = "new"
    CHANGED = "changed"
    RETRY = "retry"
    RELABELLED = "relabelled"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    MISSING = "missing"
    """Not in a listing that is not the whole corpus: kept."""


EXTRACTED = frozenset({Change.NEW, Change.CHANGED, Change.RETRY})
"""Classes whose files are read."""


@dataclass(frozen=True, slots=True)
class TableEntry:
    """An entry of the table: the rows that one part has for one file."""

    path: str
    part: str
    version: str
    fingerprint: str
    run_id: str
    attributes: tuple[Any, ...] = (None,)
    error_kind: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What extracting a file gave: its rows are in a fragment."""

    path: str
    version: str
    fingerprint: str
    run_id: str
    error_kind: str | None = None


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the options of a run mean for planning."""

    fingerprint: str
    delete_missing: bool = True
    retry_failed: bool = False
    recompute: bool = False
    reusable_runs: frozenset[str] | None = None
    """Runs whose fragments may be used; None: any."""


def classify(
    item: SourceFile | None, held: Sequence[TableEntry], rules: PlanOptions
) -> tuple[Change, TableEntry | None]:
    """Return the planning class of one path, and the entry that stays if it is not read.

    Parameters
    ----------
    item : SourceFile or None
        The file in the listing.
    held : sequence of TableEntry
        All of the table's entries for it; those not returned are surplus.
    rules : PlanOptions
        The run's options.
    """
    best = max(held, key=_standing, default=None)
    if item is None:
        if best is None or rules.delete_missing:
            return Change.DELETED, None
        return Change.MISSING, best
    if best is None:
        return Change.NEW, None
    current = [h for h in held if _is_current(h, item, rules)]
    if current and not rules.recompute:
        exact = [h for h in current if h.attributes == item.attributes]
        return (
            (Change.UNCHANGED, max(exact, key=_standing))
            if exact
            else (Change.RELABELLED, max(current, key=_standing))
        )
    return (Change.CHANGED if best.error_kind is None else Change.RETRY), best


def is_reusable(outcome: Outcome, item: SourceFile | None, rules: PlanOptions) -> bool:
    """Say whether what an earlier run left in a fragment is what this run would make.

    Its own outcomes a run takes as they are: it read what is there now.
    """
    if item is None or (outcome.version, outcome.fingerprint) != (item.version, rules.fingerprint):
        return False
    if rules.reusable_runs is not None and outcome.run_id not in rules.reusable_runs:
        return False
    return outcome.error_kind is None or (
        outcome.error_kind in CONTENT_KINDS and not rules.retry_failed
    )


def _standing(held: TableEntry) -> tuple[bool, str]:
    return held.error_kind is None, held.run_id


def _is_current(held: TableEntry, item: SourceFile, rules: PlanOptions) -> bool:
    if (held.version, held.fingerprint) != (item.version, rules.fingerprint):
        return False
    return held.error_kind is None or (held.error_kind in CONTENT_KINDS and not rules.retry_failed)


@dataclass(slots=True)
class BucketPlan:
    """What is to be done in one bucket."""

    counts: Counter[Change] = field(default_factory=Counter)
    extract: list[SourceFile] = field(default_factory=list)
    n_surplus: int = 0
    n_held: int = 0
    """Files that the table holds now, as rows or as errors."""
    n_held_errors: int = 0

    @property
    def n_after(self) -> int:
        """Files that the table is to hold afterwards."""
        return sum(n for change, n in self.counts.items() if change != Change.DELETED)

    @property
    def has_changes(self) -> bool:
        """Whether any part of the bucket changes."""
        return self.n_surplus > 0 or any(
            self.counts[c] for c in Change if c not in (Change.UNCHANGED, Change.MISSING)
        )


def plan_bucket(
    items: dict[str, SourceFile], held: dict[str, list[TableEntry]], rules: PlanOptions
) -> BucketPlan:
    """Return what is to be done in a bucket.

    Parameters
    ----------
    items : dict
        The listing's files by path.
    held : dict
        The table's entries by path, over all labels and the errors.
    rules : PlanOptions
        The run's options.
    """
    plan = BucketPlan(n_held=len(held))
    for path in items.keys() | held.keys():
        item, entries = items.get(path), held.get(path, ())
        change, kept = classify(item, entries, rules)
        plan.counts[change] += 1
        plan.n_held_errors += kept is not None and kept.error_kind is not None
        if change in EXTRACTED:
            assert item is not None
            plan.extract.append(item)
            plan.n_surplus += max(0, len(entries) - 1)
        else:
            plan.n_surplus += len(entries) - (kept is not None) if change != Change.DELETED else 0
    plan.extract.sort(key=lambda item: item.path)
    return plan


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where a file's rows come from and go to in a merge."""

    path: str
    part: str
    """The part that has the rows afterwards."""
    source: TableEntry | None
    """The entry whose rows are kept or moved; None: they come from a fragment."""
    attributes: tuple[Any, ...]


def resolve(
    items: dict[str, SourceFile],
    held: dict[str, list[TableEntry]],
    outcomes: dict[str, Outcome],
    rules: PlanOptions,
    part_of: Callable[[str | None, str | None], str],
) -> list[Assignment]:
    """Return, for one bucket, every file that the table holds after the merge.

    A file that failed for its environment keeps its good row, if it has one. One that
    was to be read and has no outcome keeps whatever it has.

    Parameters
    ----------
    items, held, rules
        As for `plan_bucket`.
    outcomes : dict
        What extraction gave, by path.
    part_of : callable
        Gives the part's name for a label and an error kind.

    Returns
    -------
    list of Placed
        One for each path; an entry of the table that is in none of them leaves it.
    """
    placed = []
    for path in sorted(items.keys() | held.keys()):
        item = items.get(path)
        change, kept = classify(item, held.get(path, ()), rules)
        outcome = outcomes.get(path) if change in EXTRACTED else None
        attributes = item.attributes if item else kept.attributes if kept else ()
        if outcome is not None:
            good_before = kept is not None and kept.error_kind is None
            if not (outcome.error_kind in ENVIRONMENT_KINDS and good_before):
                part = part_of(attributes[0], outcome.error_kind)
                placed.append(Assignment(path, part, None, attributes))
                continue
        if kept is not None:
            part = part_of(attributes[0], kept.error_kind)
            placed.append(Assignment(path, part, kept, attributes))
    return placed
