"""List the parts of a table."""

from __future__ import annotations

from jobs.storage.base import Store
from jobs.table.layout import ERRORS, FEATURES, INDEX, bucket_of_part


def list_parts(store: Store) -> dict[str, str]:
    """Return the version of every committed part, by name."""
    parts = {}
    for folder in (FEATURES, INDEX, ERRORS):
        try:
            for page in store.scan(folder):
                parts.update(
                    {e.name: e.version for e in page if bucket_of_part(e.name) is not None}
                )
        except FileNotFoundError:
            continue
    return parts
