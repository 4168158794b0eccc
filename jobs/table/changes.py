"""Compare a listing with the entries of the table. Pure functions, no I/O.

Each path has at most one `SourceFile` in the listing, and usually one `TableEntry` in the table.
A run that was killed between two writes of parts can leave entries of a file in two parts.
`resolve` decides which rows each file has after the merge.
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
    """Planning class of a path.

    ``MISSING`` files are not in the listing, but the listing is not the whole corpus, so
    they are kept.
    """

    NEW = "new"
    CHANGED = "changed"
    RETRY = "retry"
    RELABELLED = "relabelled"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    MISSING = "missing"


#: Planning classes whose files are extracted.
EXTRACTED = frozenset({Change.NEW, Change.CHANGED, Change.RETRY})


@dataclass(frozen=True, slots=True)
class TableEntry:
    """The rows of one file in one part.

    Attributes
    ----------
    path : str
        Stored path of the file.
    part : str
        Name of the part.
    version, fingerprint, run_id : str
        Version of the file, fingerprint of the spec, and run that made the rows.
    attributes : tuple
        The label, then the values of the carried columns.
    error_kind : str, optional
        Kind of the error; None for features.
    """

    path: str
    part: str
    version: str
    fingerprint: str
    run_id: str
    attributes: tuple[Any, ...] = (None,)
    error_kind: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of extracting a file, whose rows are in a staged file.

    Attributes
    ----------
    path : str
        Stored path of the file.
    version, fingerprint, run_id : str
        Version of the file, fingerprint of the spec, and run that extracted it.
    error_kind : str, optional
        Kind of the error; None for features.
    """

    path: str
    version: str
    fingerprint: str
    run_id: str
    error_kind: str | None = None


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """Options of a run that matter for planning.

    Attributes
    ----------
    fingerprint : str
        Fingerprint of the spec.
    delete_missing : bool
        Whether files that are not listed leave the table.
    retry_failed : bool
        Whether to extract files again that failed by their content.
    recompute : bool
        Whether to extract every file again.
    reusable_runs : frozenset of str, optional
        Runs whose staged files may be used; None for all.
    """

    fingerprint: str
    delete_missing: bool = True
    retry_failed: bool = False
    recompute: bool = False
    reusable_runs: frozenset[str] | None = None


def classify(
    item: SourceFile | None, held: Sequence[TableEntry], options: PlanOptions
) -> tuple[Change, TableEntry | None]:
    """Return the planning class of a path, and the entry to keep if the file is not extracted.

    Parameters
    ----------
    item : SourceFile or None
        The file in the listing.
    held : sequence of TableEntry
        All entries of the file in the table. Entries that are not returned are surplus.
    options : PlanOptions
        The run's options.
    """
    best = max(held, key=_standing, default=None)
    if item is None:
        if best is None or options.delete_missing:
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


def is_reusable(outcome: Outcome, item: SourceFile | None, options: PlanOptions) -> bool:
    """Return whether a staged outcome of an earlier run equals what this run would compute.

    A run does not ask this for its own outcomes: it has read the current files.
    """
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


def _is_current(held: TableEntry, item: SourceFile, options: PlanOptions) -> bool:
    if (held.version, held.fingerprint) != (item.version, options.fingerprint):
        return False
    return held.error_kind is None or (
        held.error_kind in CONTENT_KINDS and not options.retry_failed
    )


@dataclass(slots=True)
class BucketPlan:
    """The plan of one hash bucket.

    Attributes
    ----------
    counts : Counter
        Number of files by planning class.
    extract : list of SourceFile
        Files to extract.
    n_surplus : int
        Number of entries that leave the table because their file has another entry.
    n_held : int
        Number of files in the table now, with features or an error.
    n_held_errors : int
        Number of their entries that are errors, without deleted files.
    """

    counts: Counter[Change] = field(default_factory=Counter)
    extract: list[SourceFile] = field(default_factory=list)
    n_surplus: int = 0
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
    items: dict[str, SourceFile], held: dict[str, list[TableEntry]], options: PlanOptions
) -> BucketPlan:
    """Return the plan of a hash bucket.

    Parameters
    ----------
    items : dict
        Files of the listing, by path.
    held : dict
        Entries of the table, by path, in all label folders and the errors.
    options : PlanOptions
        The run's options.
    """
    plan = BucketPlan(n_held=len(held))
    for path in items.keys() | held.keys():
        item, entries = items.get(path), held.get(path, ())
        change, kept = classify(item, entries, options)
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
    """Where the rows of a file come from and go to in a merge.

    Attributes
    ----------
    path : str
        Stored path of the file.
    part : str
        Part that has the rows after the merge.
    source : TableEntry, optional
        Entry whose rows are kept or moved; None if the rows come from a staged file.
    attributes : tuple
        The label, then the values of the carried columns.
    """

    path: str
    part: str
    source: TableEntry | None
    attributes: tuple[Any, ...]


def resolve(
    items: dict[str, SourceFile],
    held: dict[str, list[TableEntry]],
    outcomes: dict[str, Outcome],
    options: PlanOptions,
    part_of: Callable[[str | None, str | None], str],
) -> list[Assignment]:
    """Return every file of a hash bucket that is in the table after the merge.

    If the environment made a file fail, its features in the table are kept. A file that was
    to be extracted but has no outcome keeps its entry.

    Parameters
    ----------
    items, held, options
        As for `plan_bucket`.
    outcomes : dict
        Outcomes of extraction, by path.
    part_of : callable
        Returns the name of the part for a label and an error kind.

    Returns
    -------
    list of Assignment
        One for each path. An entry that is the source of none of them leaves the table.
    """
    placed = []
    for path in sorted(items.keys() | held.keys()):
        item = items.get(path)
        change, kept = classify(item, held.get(path, ()), options)
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
