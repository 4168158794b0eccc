"""Where files are: one small interface over a local folder, S3 and any other fsspec URL."""

from __future__ import annotations

import os
import re
from typing import Any

from jobs.errors import UsageError
from jobs.storage.base import Entry, Fetched, Store

__all__ = ["Entry", "Fetched", "Store", "is_url", "lasting", "open_store"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::[^:]*)?://")
_S3_PROTOCOLS = ("s3", "s3a")


def is_url(location: str) -> bool:
    """Say whether a location is an fsspec URL, and not a path."""
    return _URL.match(location) is not None


def lasting(location: str) -> str:
    """Return a location as it is written down: the same from any folder, without a password."""
    if not is_url(location):
        return os.path.abspath(location)
    return re.sub(r"://[^/@]*@", "://", location)


def open_store(
    location: str, options: dict[str, Any] | None = None, *, patient: bool = False
) -> Store:
    """Return the store of a folder, bucket prefix or other fsspec URL.

    Parameters
    ----------
    location : str
        A local path or a URL such as ``s3://bucket/prefix``.
    options : dict, optional
        Storage options as fsspec takes them (``key``, ``endpoint_url``, …).
        They have no meaning for local paths.
    patient : bool
        Wait for a service that does not answer. By default the first request gives up
        soon, because the address may be wrong.
    """
    from jobs.storage.local import LocalStore

    options = options or {}
    if not is_url(location):
        return LocalStore(location)
    protocol, _, rest = location.partition("://")
    if protocol in ("file", "local"):
        return LocalStore(rest or os.sep)
    if protocol in _S3_PROTOCOLS:
        from jobs.storage.s3 import S3Store

        if not rest.strip("/"):
            raise UsageError(f"{location} names no bucket: write s3://bucket/prefix")
        return S3Store(rest, options, patient=patient)
    from jobs.storage.generic import GenericStore

    try:
        return GenericStore(location, options)
    except (ValueError, ImportError, TypeError) as error:
        raise UsageError(f"cannot open {location}: {error}") from error
