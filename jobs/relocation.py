"""Relocate the corpus of a table: check that the files are the same, then change its root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.corpus.discovery import check_apart, open_corpus
from jobs.corpus.listing import Listing
from jobs.diagnostics.events import Counted, Observer, Relocated, counting, ignore
from jobs.diagnostics.run_log import RunLog
from jobs.errors import EXIT_DONE, EXIT_HELD, UsageError
from jobs.execution.version import code_version
from jobs.preflight import table_errors
from jobs.settings import Settings, public, secrets_of
from jobs.storage.urls import canonical_location, protocol_of
from jobs.table.history import last_summaries, new_run_id, run_ids, utc_now, write_summary
from jobs.table.lock import write_lock
from jobs.table.metadata import write_corpus
from jobs.table.reader import Table, open_table
from jobs.table.schema import taken_names

#: Fraction of the table's files that must match, unless set otherwise.
MIN_MATCH = 0.9


@dataclass
class Relocation:
    """The comparison of a table with the files at a new location, and the result.

    Attributes
    ----------
    table, old_corpus, new_corpus : str
        Locations of the table, and of its corpus before and after.
    status : str
        ``relocated``, ``held`` (too few files match) or ``planned`` (dry run).
    n_match : int
        Number of files with the same path and version.
    n_differ : int
        Number of files with the same path and another version. The next run extracts them.
    n_missing : int
        Number of files in the table that are not at the new location.
    n_new : int
        Number of files at the new location that are not in the table.
    reason : str
        Why the table was not changed.
    example_missing, example_new : str
        Path of one such file, for the message.
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
        """Number of files in the table."""
        return self.n_match + self.n_differ + self.n_missing

    @property
    def exit_code(self) -> int:
        """Exit code of the command."""
        return EXIT_HELD if self.status == "held" else EXIT_DONE

    def add(self, items: pa.Table, held: pa.Table) -> None:
        """Count the files of a hash bucket: those of the listing, and the table's entries."""
        listed, in_table = (rows["path"].combine_chunks() for rows in (items, held))
        new = listed.filter(pc.invert(pc.is_in(listed, in_table)))
        at = pc.index_in(in_table, listed)
        missing = in_table.filter(pc.is_null(at)).unique()
        is_same = pc.equal(held["source_version"], items["source_version"].take(at))
        n_match = len(in_table.filter(is_same.combine_chunks()).unique())
        self.n_new += len(new)
        self.n_missing += len(missing)
        self.n_match += n_match
        self.n_differ += len(listed) - len(new) - n_match
        if not self.example_new and len(new):
            self.example_new = new[0].as_py()
        if not self.example_missing and len(missing):
            self.example_missing = missing[0].as_py()

    def to_dict(self) -> dict[str, Any]:
        """Return the relocation as a dictionary for JSON."""
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
        """Return the relocation as lines of text for people."""
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
    """Change the corpus root of a table, if the files at the new location are the same.

    Only the corpus root changes, in one atomic write. Staged files of interrupted runs have
    the old root, so they are not used afterwards.

    Parameters
    ----------
    table, corpus : str
        Locations of the table, and of its corpus now.
    min_match : float
        Fraction of the table's files that must have the same path and version there.
    dry_run : bool
        Only compare.
    settings : Settings, optional
        Used for storage options, the write lock, and include and exclude patterns.
    observer : callable, optional
        Receives every event.

    Raises
    ------
    JobError
        If the table or the corpus cannot be read, or another driver writes the table.
    """
    if not 0 <= min_match <= 1:
        raise UsageError(f"min_match is {min_match}: give a fraction from 0 to 1")
    settings = settings or Settings()
    opened = open_table(table, settings.options_for("table"))
    listing = _open_listing(corpus, opened, settings)
    store, run_id = opened.store, new_run_id()
    if dry_run:
        return _compare(opened, listing, min_match, observer)
    with (
        table_errors(store.url),
        write_lock(
            store,
            run_id,
            single_writer=settings.single_writer,
            period_s=settings.lease_period_s,
        ) as guard,
    ):
        # opened again: a run may have ended before the lock was taken
        opened = open_table(table, settings.options_for("table"))
        relocation = _compare(opened, listing, min_match, observer)
        if relocation.reason:
            relocation.status = "held"
            return relocation
        write_corpus(store, opened.metadata, listing.corpus.root, guard.check)
        relocation.status = "relocated"
        _log(opened, run_id, corpus, settings, relocation)
    return relocation


def _open_listing(corpus: str, table: Table, settings: Settings) -> Listing:
    opened = open_corpus(
        corpus,
        options=settings.options_for("corpus"),
        include=settings.include,
        exclude=settings.exclude,
        taken=taken_names(table.metadata.recorded_spec.schema, table.metadata.tags),
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
            listing.look_up(bucket, held)
            items = listing.items(bucket)
            relocation.add(items, held)
            notify(Counted(len(items)))
    if relocation.n_match < min_match * relocation.n_held:
        relocation.reason = _too_few(relocation, min_match)
    return relocation


def _too_few(result: Relocation, min_match: float) -> str:
    """Return the reason to refuse a new location with too few equal files, and the remedy."""
    problem = (
        f"only {result.n_match} of the table's {result.n_held} files are the same in"
        f" {result.new_corpus} ({result.n_differ} differ, {result.n_missing} are not there), fewer"
        f" than --min-match {min_match:g} asks for"
    )
    if protocol_of(result.old_corpus) != protocol_of(result.new_corpus):
        return (
            f"{problem}: versions on other storage cannot be compared with the table's, so make a"
            " new table with featurelib extract"
        )
    if result.n_differ >= result.n_missing:
        return (
            f"{problem}: was it copied without its modification times? Copy with them (cp -a,"
            " rsync -a), or make a new table with featurelib extract"
        )
    example = f", and there is {result.example_new!r}" if result.example_new else ""
    return f"{problem}: the table has {result.example_missing!r}{example}; is it the right folder?"


def _log(
    table: Table, run_id: str, corpus: str, settings: Settings, relocation: Relocation
) -> None:
    """Write a log and a summary like those of runs; ``featurelib status`` plans with them."""
    runs = last_summaries(table.store, run_ids(table.store), 1)
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
        started=utc_now(),
        ended=utc_now(),
        settings=runs[-1]["settings"] if runs else public(settings),
        report=relocation.to_dict(),
    )
