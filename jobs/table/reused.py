"""`ReusedTable`: another table of the corpus, whose columns are copied instead of computed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ReusedTable:
    """Another table of the corpus, whose columns are copied instead of computed.

    Attributes
    ----------
    location : str
        Location by which a worker opens it.
    fingerprint : str
        Fingerprint of its spec.
    columns : dict
        Columns that are copied, and their names in the other table.
    others : dict
        The other columns of a row, which are copied if the file is not read.
    missing : dict, optional
        The spec that is computed; None if a file need not be read.
    """

    location: str = field(repr=False)
    fingerprint: str
    columns: dict[str, str]
    others: dict[str, str]
    missing: dict[str, Any] | None
