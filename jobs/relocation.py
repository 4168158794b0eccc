"""A corpus that has moved: are its files the same at the new place? Then the table goes there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobs.corpus.discovery import check_apart, open_corpus
from jobs.corpus.listing import Listing
from jobs.corpus.source_file import SourceFile
from jobs.diagnostics.events import Counted, Observer, Relocated, counting, ignore
from jobs.diagnostics.run_log import RunLog
from jobs.errors import EXIT_DONE, EXIT_HELD, UsageError
from jobs.execution.version import code_version
from jobs.preflight import table_errors
from jobs.settings import Settings, public, secrets_of
from jobs.storage.urls import canonical_location, protocol_of
from jobs.table.changes import TableEntry
from jobs.table.history import new_run_id, read_summaries, write_summary
from jobs.table.lock import write_lock
from jobs.table.metadata import write_corpus
from jobs.table.reader import Table, open_table

MIN_MATCH = 0.9


@dataclass
class Relocation:
    """How the files at a new place compare with a table's rows, and what came of it.

    Attributes
    ----------
    table, old_corpus, new_corpus : str
        The table, and its corpus before and afterwards.
    status : str
        ``relocated``, ``held`` (too few files match) or ``planned`` (dry run).
    n_match : int
        Files that the table has, of the same path and version.
    n_differ : int
        Files of the same path and another version: the next run extracts them again.
    n_missing : int
        Files that the table has and the new place has not.
    n_new : int
        Files that the new place has and the table has not.
    reason : str
        Why the table was left as it is.
    """

    table: str
    old_corpus: str
    new_corpus: str
    status: str = "planned"
    n_match: int = 0
    n_differ: int = 0
    n_missing: int = 0
    n_new: int = 0
    reason: str = ""
    example_missing: str = ""
    example_new: str = ""

    @property
    def n_held(self) -> int:
        """Files that the table has."""
        return self.n_match + self.n_differ + self.n_missing

    @property
    def exit_code(self) -> int:
        """Exit code of the command."""
        return EXIT_HELD if self.status == "held" else EXIT_DONE

    def add(self, items: dict[str, SourceFile], held: dict[str, list[TableEntry]]) -> None:
        """Count the files of one bucket."""
        for path in items.keys() | held.keys():
            item, entries = items.get(path), held.get(path)
            if not entries:
                self.n_new += 1
                self.example_new = self.example_new or path
            elif item is None:
                self.n_missing += 1
                self.example_missing = self.example_missing or path
            elif any(entry.version == item.version for entry in entries):
                self.n_match += 1
            else:
                self.n_differ += 1

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "table": self.table,
            "old_corpus": self.old_corpus,
            "new_corpus": self.new_corpus,
            "status": self.status,
            "reason": self.reason,
            "match": self.n_match,
            "differ": self.n_differ,
            "missing": self.n_missing,
            "new": self.n_new,
        }

    def lines(self) -> list[str]:
        """Return it for people."""
        counts = (
            (self.n_match, "the same"),
            (self.n_differ, "changed, to be extracted again by the next run"),
            (self.n_missing, "in the table and not there"),
            (self.n_new, "new"),
        )
        lines = [f"{n:>9}  {what}" for n, what in counts if n]
        if self.status == "relocated":
            lines.append(f"{self.table}: the corpus is {self.new_corpus} now")
        return lines


def relocate(
    table: str,
    corpus: str,
    *,
    min_match: float = MIN_MATCH,
    dry_run: bool = False,
    settings: Settings | None = None,
    observer: Observer = ignore,
) -> Relocation:
    """Make a table that of a corpus at another place, if the files there are the same.

    The corpus's root is the only thing that changes, in one atomic write. Unmerged results
    of interrupted runs carry the old root, and are not used afterwards.

    Parameters
    ----------
    table, corpus : str
        The table, and the corpus's new place.
    min_match : float
        Fraction of the table's files that must be there with the same path and version.
    dry_run : bool
        Only compare.
    settings : Settings, optional
        Of these, what concerns storage, the lock, and which files belong to the corpus.
    observer : callable, optional
        Told every event.

    Raises
    ------
    JobError
        If the table or the corpus cannot be read, or another driver writes the table.
    """
    if not 0 <= min_match <= 1:
        raise UsageError(f"min_match is {min_match}: give a fraction from 0 to 1")
    settings = settings or Settings()
    found = open_table(table, settings.options_for("table"))
    listing = _open_listing(corpus, found, settings)
    store, run_id = found.store, new_run_id()
    if dry_run:
        return _compare(found, listing, min_match, observer)
    with (
        table_errors(store.url),
        write_lock(
            store,
            run_id,
            single_writer=settings.single_writer,
            period_s=settings.lease_period_s,
        ) as guard,
    ):
        found = open_table(table, settings.options_for("table"))  # a run may have ended since
        relocation = _compare(found, listing, min_match, observer)
        if relocation.reason:
            relocation.status = "held"
            return relocation
        write_corpus(store, found.metadata, listing.corpus.root, guard.check)
        relocation.status = "relocated"
        _log(found, run_id, corpus, settings, relocation)
    return relocation


def _open_listing(corpus: str, table: Table, settings: Settings) -> Listing:
    opened = open_corpus(
        corpus,
        options=settings.options_for("corpus"),
        include=settings.include,
        exclude=settings.exclude,
    )
    check_apart(opened, table.store.url)
    return Listing(opened, None)


def _compare(table: Table, listing: Listing, min_match: float, notify: Observer) -> Relocation:
    relocation = Relocation(table.store.url, table.metadata.corpus, listing.corpus.root)
    listing.read(notify)
    listing.set_buckets(table.metadata.n_buckets)
    with counting(notify, "comparing"):
        for bucket in range(table.metadata.n_buckets):
            held = table.held(bucket)
            listing.look_up(bucket, {path: {h.version for h in of} for path, of in held.items()})
            items = listing.items(bucket)
            relocation.add(items, held)
            notify(Counted(len(items)))
    if relocation.n_match < min_match * relocation.n_held:
        relocation.reason = _too_few(relocation, min_match)
    return relocation


def _too_few(found: Relocation, min_match: float) -> str:
    """Return why a new place is not believed to have the same files, and what may help."""
    told = (
        f"only {found.n_match} of the table's {found.n_held} files are the same in"
        f" {found.new_corpus} ({found.n_differ} differ, {found.n_missing} are not there), fewer"
        f" than --min-match {min_match:g} asks for"
    )
    if protocol_of(found.old_corpus) != protocol_of(found.new_corpus):
        return (
            f"{told}: versions on other storage cannot be compared with the table's, so make a"
            " new table with featurelib extract"
        )
    if found.n_differ >= found.n_missing:
        return (
            f"{told}: was it copied without its modification times? Copy with them (cp -a,"
            " rsync -a), or make a new table with featurelib extract"
        )
    example = f", and there is {found.example_new!r}" if found.example_new else ""
    return f"{told}: the table has {found.example_missing!r}{example}; is it the right folder?"


def _log(
    table: Table, run_id: str, corpus: str, settings: Settings, relocation: Relocation
) -> None:
    """Leave a summary as runs do, with which ``featurelib status`` plans the next one."""
    runs = read_summaries(table.store)
    secrets = secrets_of(settings)
    log = RunLog(table.store, run_id, secrets)
    log(Relocated(relocation.to_dict()))
    log.flush()
    write_summary(
        table.store,
        run_id,
        secrets,
        corpus=canonical_location(corpus),
        recompute=False,
        code=code_version(),
        settings=runs[-1]["settings"] if runs else public(settings),
        report=relocation.to_dict(),
    )
