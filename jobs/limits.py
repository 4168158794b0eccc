"""The limits that hold a publication back. Pure functions."""

from __future__ import annotations

from collections import Counter


def too_many_deleted(n_deleted: int, n_held: int, limit: float, corpus: str) -> str | None:
    """Return why a listing that shrank is not believed, or None where it is.

    Parameters
    ----------
    n_deleted : int
        Files that would leave the table.
    n_held : int
        Files that it holds.
    limit : float
        Fraction that may leave.
    corpus : str
        Where they are gone from.
    """
    if n_deleted <= limit * n_held:
        return None
    return (
        f"{n_deleted} of the table's {n_held} files are gone from {corpus}, more than"
        f" --max-deleted {limit:g} allows: is it all there? If they are meant to go, run again"
        " with --max-deleted 1; to keep their rows, with --keep-missing"
    )


def too_many_failed(failures: Counter[str], n_read: int, limit: float) -> str | None:
    """Return why what was extracted is not published, or None where it is.

    Parameters
    ----------
    failures : Counter
        Files that failed, by kind.
    n_read : int
        Files that were read.
    limit : float
        Fraction that may fail.
    """
    n_failed = sum(failures.values())
    if n_failed <= limit * n_read:
        return None
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(failures.items()))
    return (
        f"{n_failed} of {n_read} files failed ({kinds}), more than --max-failed {limit:g} allows;"
        " what was extracted is kept, so with a higher limit the next run publishes it at once"
    )
