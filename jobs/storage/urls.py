"""Locations as text: parse, redact and canonicalize URLs and local paths."""

from __future__ import annotations

import os
import re

from jobs.errors import UsageError
from jobs.storage.names import decode_local, encode_local, encode_path, local_name, utf8_name

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*"
_URL = re.compile(rf"{_SCHEME}(::[A-Za-z0-9+.-]*)*://")
_ONE_SLASH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/[^/]")  # a drive of Windows has one letter
_CHAIN = re.compile(rf"{_SCHEME}::.*://|.*::{_SCHEME}://", re.DOTALL)
_SAME_PROTOCOL = {"local": "file", "s3a": "s3"}

#: Protocols that have a meaning only in a chained URL.
_OVER_ANOTHER = {
    "blockcache",
    "cached",
    "dir",
    "filecache",
    "generic",
    "libarchive",
    "reference",
    "simplecache",
    "tar",
    "zip",
}

_USER = re.compile(r"(?<=://)[^/]*@")

#: Protocols whose URLs have the container or repository before the ``@``, not a user.
_NAMED_BEFORE_AT = {"abfs", "abfss", "az", "git", "github", "oci", "ocilake"}


def is_url(location: str) -> bool:
    """Return whether a location is an fsspec URL, not a local path."""
    return _URL.match(location) is not None


def protocol_of(location: str) -> str:
    """Return the protocol of a location; ``file`` for a local path."""
    if not is_url(location):
        return "file"
    protocol = location.partition("://")[0].lower()
    return _SAME_PROTOCOL.get(protocol, protocol)


def is_chained(location: str) -> bool:
    """Return whether a URL is a file system inside another, such as ``zip://…::file.zip``."""
    if not is_url(location):
        return False
    return _CHAIN.match(location) is not None or protocol_of(location) in _OVER_ANOTHER


def redacted(location: str) -> str:
    """Return a location without credentials, for logs and messages."""
    if not is_url(location):
        return location
    protocol, _, rest = location.partition("://")
    url = f"{protocol.lower()}://{rest}"
    return url if protocol_of(url) in _NAMED_BEFORE_AT else _USER.sub("", url, count=1)


def split_name(location: str) -> tuple[str, str]:
    """Return the folder of a location, and its name in that folder."""
    scheme, colon, rest = location.partition("://") if is_url(location) else ("", "", location)
    folder, slash, name = rest.rpartition("/")
    return scheme + colon + folder if scheme else folder or slash or ".", name


def stored_name(location: str, name: str) -> str:
    """Return the stored form of a name that is part of a location.

    A URL is text. A local path is decoded by the process's locale.
    """
    return encode_path(name) if is_url(location) else encode_local(name)


def canonical_location(location: str) -> str:
    """Return the canonical form of a location: absolute, in UTF-8, without credentials."""
    return redacted(location) if is_url(location) else utf8_name(os.path.abspath(location))


def has_one_slash(location: str) -> bool:
    """Return whether a local path looks like a URL that lacks a slash."""
    return _ONE_SLASH.match(location) is not None


def check_output(location: str) -> None:
    """Refuse locations of results that new users give by mistake.

    Raises
    ------
    UsageError
        If the location begins with ``~``, or is a URL with one slash.
    """
    if location.startswith("~"):
        raise UsageError(
            f"--output is {location}: the shell replaces ~ only without quotes, at the start of a"
            " word; write --output ~/…, or the whole path"
        )
    if has_one_slash(location):
        raise UsageError(f"--output is {location}: a URL has two slashes, as in s3://bucket/prefix")


def local_path(location: str) -> str | None:
    """Return the path of a local location, which may be a URL; None for another file system."""
    if not is_url(location):
        return location
    return local_name(location.partition("://")[2]) if protocol_of(location) == "file" else None


def real_location(location: str) -> str:
    """Return a canonical location without links, ending in a slash, to compare it with others."""
    real = location if is_url(location) else encode_local(os.path.realpath(decode_local(location)))
    return real.rstrip("/") + "/"


def location_from_canonical(location: str) -> str:
    """Return a canonical location in the form that this process's `os` functions take."""
    return location if is_url(location) else local_name(location)
