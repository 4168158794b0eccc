"""What `jobs.table.changes` decides in columns, file by file: the reference of its tests."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobs.errors import CONTENT_KINDS, ENVIRONMENT_KINDS
from jobs.table.changes import EXTRACTED, Change, PlanOptions


def nan_safe(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return values as a tuple in which NaN equals NaN."""
    return tuple(math.nan if value != value else value for value in values)


@dataclass(frozen=True, slots=True)
class Item:
    """One file of the listing."""

    path: str
    size: int | None
    version: str
    attributes: tuple[Any, ...] = (None,)


@dataclass(frozen=True, slots=True)
class TableEntry:
    """The rows of one file in one part."""

    path: str
    part: str
    version: str
    fingerprint: str
    run_id: str
    attributes: tuple[Any, ...] = (None,)
    error_kind: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of extracting a file, whose rows are in a staged file."""

    path: str
    version: str
    fingerprint: str
    run_id: str
    error_kind: str | None = None


def classify(
    item: Item | None, held: Sequence[TableEntry], options: PlanOptions
) -> tuple[Change, TableEntry | None]:
    """Return the planning class of a path, and the entry to keep if the file is not extracted."""
    best = max(held, key=_standing, default=None)
    if item is None:
        if best is None or options.delete_missing or best.error_kind == "vanished":
            return Change.DELETED, None
        return Change.MISSING, best
    if best is None:
        return Change.NEW, None
    current = [h for h in held if _is_current(h, item, options)]
    if current and not options.recompute:
        exact = [h for h in current if h.attributes == item.attributes]
        return (
            (Change.UNCHANGED, max(exact, key=_standing))
            if exact
            else (Change.RELABELLED, max(current, key=_standing))
        )
    return (Change.CHANGED if best.error_kind is None else Change.RETRY), best


def is_reusable(outcome: Outcome, item: Item | None, options: PlanOptions) -> bool:
    """Return whether a staged outcome of an earlier run equals what this run would compute."""
    if item is None or (outcome.version, outcome.fingerprint) != (
        item.version,
        options.fingerprint,
    ):
        return False
    if options.reusable_runs is not None and outcome.run_id not in options.reusable_runs:
        return False
    return outcome.error_kind is None or (
        outcome.error_kind in CONTENT_KINDS and not options.retry_failed
    )


def _standing(held: TableEntry) -> tuple[bool, str]:
    return held.error_kind is None, held.run_id


def _is_current(held: TableEntry, item: Item, options: PlanOptions) -> bool:
    if (held.version, held.fingerprint) != (item.version, options.fingerprint):
        return False
    return held.error_kind is None or (
        held.error_kind in CONTENT_KINDS and not options.retry_failed
    )


@dataclass(slots=True)
class BucketPlan:
    """The plan of one hash bucket."""

    counts: Counter[Change] = field(default_factory=Counter)
    extract: list[Item] = field(default_factory=list)
    n_surplus: int = 0
    n_vanished: int = 0
    n_held: int = 0
    n_held_errors: int = 0

    @property
    def n_after(self) -> int:
        """Number of files in the table after the run."""
        return sum(n for change, n in self.counts.items() if change != Change.DELETED)

    @property
    def has_changes(self) -> bool:
        """Whether any part of the bucket changes."""
        return self.n_surplus > 0 or any(
            self.counts[c] for c in Change if c not in (Change.UNCHANGED, Change.MISSING)
        )


def plan_bucket(
    items: dict[str, Item], held: dict[str, list[TableEntry]], options: PlanOptions
) -> BucketPlan:
    """Return the plan of a hash bucket."""
    plan = BucketPlan(n_held=len(held))
    for path in items.keys() | held.keys():
        item, entries = items.get(path), held.get(path, ())
        change, kept = classify(item, entries, options)
        plan.counts[change] += 1
        if change == Change.DELETED:
            plan.n_vanished += all(entry.error_kind == "vanished" for entry in entries)
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
    """Where the rows of a file come from and go to in a merge."""

    path: str
    part: str
    source: TableEntry | None
    attributes: tuple[Any, ...]


def resolve(
    items: dict[str, Item],
    held: dict[str, list[TableEntry]],
    outcomes: dict[str, Outcome],
    options: PlanOptions,
    part_of: Callable[[str | None, bool], str],
) -> list[Assignment]:
    """Return every file of a hash bucket that is in the table after the merge."""
    placed = []
    for path in sorted(items.keys() | held.keys()):
        item = items.get(path)
        change, kept = classify(item, held.get(path, ()), options)
        outcome = outcomes.get(path) if change in EXTRACTED else None
        attributes = item.attributes if item else kept.attributes if kept else ()
        if outcome is not None:
            good_before = kept is not None and kept.error_kind is None
            if not (outcome.error_kind in ENVIRONMENT_KINDS and good_before):
                part = part_of(attributes[0], outcome.error_kind is not None)
                placed.append(Assignment(path, part, None, attributes))
                continue
        if kept is not None:
            part = part_of(attributes[0], kept.error_kind is not None)
            placed.append(Assignment(path, part, kept, attributes))
    return placed


def usable(
    outcomes: Sequence[Outcome],
    items: dict[str, Item],
    options: PlanOptions,
    own_run: str | None = None,
) -> dict[str, int]:
    """Return by path the position of the best outcome that may be used."""
    found: dict[str, int] = {}
    for index, outcome in enumerate(outcomes):
        item = items.get(outcome.path)
        if outcome.run_id != own_run and not is_reusable(outcome, item, options):
            continue
        before = found.get(outcome.path)
        if before is None or outcome.error_kind is None or outcomes[before].error_kind is not None:
            found[outcome.path] = index
    return found
