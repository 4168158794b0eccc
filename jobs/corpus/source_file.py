"""`SourceFile`: one file of a listing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the listing.

    Attributes
    ----------
    path : str
        Stored path, relative to the corpus root if the file is below it.
    size : int, optional
        Size in bytes; None if it is not known.
    version : str
        Version token (see `jobs.storage.base.Entry`).
    label : str, optional
        Listed label, where it decides what is made of the file.
    """

    path: str
    size: int | None
    version: str
    label: str | None = None
