"""What one run reads and changes: handed from step to step."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.corpus.listing import Listing
from jobs.diagnostics.events import Observer
from jobs.table.changes import PlanOptions
from jobs.table.lock import WriteGuard
from jobs.table.reader import Table
from jobs.table.staging import StagedFiles


@dataclass(frozen=True)
class Transaction:
    """One run's view of its table.

    Attributes
    ----------
    run_id : str
        The run.
    table : Table
        The table as it is.
    listing : Listing
        The corpus as it is.
    staged : StagedFiles
        Rows that are extracted and not committed.
    options : PlanOptions
        The options of the run.
    lock : WriteGuard
        Asked before every write.
    notify : callable
        Told every event.
    """

    run_id: str
    table: Table
    listing: Listing
    staged: StagedFiles
    options: PlanOptions
    lock: WriteGuard
    notify: Observer
