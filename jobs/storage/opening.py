"""Open the store of a location."""

from __future__ import annotations

import os
from typing import Any

from jobs.errors import UsageError
from jobs.storage.base import Store
from jobs.storage.names import local_name
from jobs.storage.urls import is_chained, is_url, protocol_of, redacted


def open_store(
    location: str, options: dict[str, Any] | None = None, *, retry_connect: bool = False
) -> Store:
    """Return the store of a folder, bucket prefix or other fsspec URL.

    Parameters
    ----------
    location : str
        A local path, as Python's `os` functions take it, or a URL such as
        ``s3://bucket/prefix``. ``file://`` with a path in UTF-8 does not depend on the locale.
    options : dict, optional
        Storage options for fsspec (``key``, ``endpoint_url``, …); unused for local paths.
    retry_connect : bool
        Keep retrying while the service does not answer. By default the first request gives
        up early, because the address may be wrong.

    Raises
    ------
    UsageError
        If the URL is chained, names no bucket, or its file system cannot be opened.
    """
    from jobs.storage.local import LocalStore

    options = options or {}
    if not is_url(location):
        return LocalStore(location)
    if is_chained(location):
        raise UsageError(
            f"{redacted(location)} is a URL of one file system inside another, which is not read:"
            " unpack or copy the files, and give their folder"
        )
    _, _, rest = location.partition("://")
    protocol = protocol_of(location)
    if protocol == "file":
        return LocalStore(local_name(rest) or os.sep)
    if protocol == "s3":
        from jobs.storage.s3 import S3Store

        if not rest.strip("/"):
            raise UsageError(f"{location} names no bucket: write s3://bucket/prefix")
        return S3Store(rest, options, retry_connect=retry_connect)
    from jobs.storage.fsspec import GenericStore

    try:
        return GenericStore(location, options)
    except (ValueError, ImportError, TypeError) as error:
        raise UsageError(f"cannot open {redacted(location)}: {error}") from error
