"""`Transaction`: the state that the steps of a run share."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.corpus.listing import Listing
from jobs.diagnostics.events import Observer
from jobs.table.changes import PlanOptions
from jobs.table.lock import WriteGuard
from jobs.table.reader import Table
from jobs.table.reused import ReusedTable
from jobs.table.staging import StagedFiles


@dataclass(frozen=True)
class Transaction:
    """A run, the table that it writes, and the corpus that it reads.

    Attributes
    ----------
    run_id : str
        Name of the run.
    table : Table
        The table.
    listing : Listing
        The listing of the corpus.
    staged : StagedFiles
        Rows that are extracted but not committed.
    options : PlanOptions
        Options for planning.
    lock : WriteGuard
        The write lock, checked before every write.
    notify : callable
        Observer of all events.
    reuse : ReusedTable, optional
        Another table, whose columns are copied.
    """

    run_id: str
    table: Table
    listing: Listing
    staged: StagedFiles
    options: PlanOptions
    lock: WriteGuard
    notify: Observer
    reuse: ReusedTable | None = None
