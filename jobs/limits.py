"""The limits that hold a commit back. Pure functions."""

from __future__ import annotations

from collections import Counter


def too_many_deleted(n_deleted: int, n_held: int, limit: float, corpus: str) -> str | None:
    """Return the reason to hold back if too many files would be deleted; None if not.

    Parameters
    ----------
    n_deleted : int
        Number of files that would leave the table.
    n_held : int
        Number of files in the table.
    limit : float
        Maximum fraction that may leave.
    corpus : str
        Location of the corpus, for the message.
    """
    if n_deleted <= limit * n_held:
        return None
    return (
        f"{n_deleted} of the table's {n_held} files are gone from {corpus}, more than"
        f" --max-deleted {limit:g} allows: is it all there? If they are meant to go, run again"
        " with --max-deleted 1; to keep their rows, with --keep-missing"
    )


def too_many_failed(failures: Counter[str], n_read: int, limit: float) -> str | None:
    """Return the reason to hold back if too many files failed; None if not.

    Parameters
    ----------
    failures : Counter
        Number of files that failed, by kind.
    n_read : int
        Number of files extracted.
    limit : float
        Maximum fraction that may fail.
    """
    n_failed = sum(failures.values())
    if n_failed <= limit * n_read:
        return None
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(failures.items()))
    return (
        f"{n_failed} of {n_read} files failed ({kinds}), more than --max-failed {limit:g} allows;"
        " what was extracted is kept, so with a higher limit the next run publishes it at once"
    )
