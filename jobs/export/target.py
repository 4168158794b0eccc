"""A file that a command writes: it appears when it is complete."""

from __future__ import annotations

import contextlib
import os
import stat
import uuid
from collections.abc import Iterator
from typing import Any, BinaryIO

from jobs.errors import ConflictError, TableError, UsageError, with_remedy
from jobs.storage.names import encode_local
from jobs.storage.opening import open_store
from jobs.storage.retry import http_status
from jobs.storage.scratch import temporary_file
from jobs.storage.urls import (
    check_output,
    is_url,
    local_path,
    real_location,
    redacted,
    split_name,
    stored_name,
)

#: What to do if a disk is full.
AGAIN = "run the command again; temporary files are in TMPDIR"

#: What S3 services answer that have no conditional writes.
_NO_CONDITIONS = (400, 501)


def check_name(location: str, *, example: str = "table.csv") -> None:
    """Refuse locations that name no file.

    Parameters
    ----------
    location : str
        Path or URL of the file.
    example : str
        Name of a file, for the message.

    Raises
    ------
    UsageError
        If the location is a folder or ``-``, or looks like a slip.
    """
    shown = redacted(location)
    check_output(location)
    if location == "-":
        raise UsageError("the output is one complete file, not a stream: give its name, not -")
    is_folder = not is_url(location) and os.path.isdir(location)
    if is_folder or not split_name(location)[1]:
        raise UsageError(
            f"{shown} is a folder: give a file, such as {os.path.join(shown, example)}"
        )


def check_apart(table: str, output: str, options: dict[str, Any]) -> None:
    """Refuse a file in a table.

    Parameters
    ----------
    table : str
        Canonical location of the table.
    output : str
        Path or URL of the file.
    options : dict
        Storage options for fsspec.

    Raises
    ------
    UsageError
        If the file would be below the table.
    """
    path = local_path(output)
    if path is None:
        folder, name = split_name(output)
        place = f"{open_store(folder, options).url}/{stored_name(output, name)}"
    else:
        place = encode_local(os.path.abspath(path))
    if real_location(place).startswith(real_location(table)):
        raise UsageError(
            f"{redacted(output)} is in the table, where readers would take it for a part: give a"
            " place outside of it"
        )


@contextlib.contextmanager
def new_file(location: str, options: dict[str, Any], *, force: bool) -> Iterator[BinaryIO]:
    """Context manager for a file to write, which replaces its destination when it is closed.

    After an error, the destination is as it was before.

    Parameters
    ----------
    location : str
        Path or URL of the destination.
    options : dict
        Storage options for fsspec.
    force : bool
        Replace the destination if it exists.

    Raises
    ------
    UsageError
        If the destination exists, or is no regular file.
    TableError
        If it cannot be written.
    """
    shown, path = redacted(location), local_path(location)
    try:
        with _remote(location, options, force) if path is None else _local(path, force) as file:
            yield file
    except ConflictError as error:
        raise _exists(shown) from error
    except OSError as error:
        raise TableError(f"cannot write {shown}: {with_remedy(error, AGAIN)}") from error


def _exists(shown: str) -> UsageError:
    return UsageError(f"{shown} exists: give another --output, or --force to replace it")


@contextlib.contextmanager
def _local(path: str, force: bool) -> Iterator[BinaryIO]:
    if os.path.islink(path) and os.path.abspath(path).startswith(("/dev/", "/proc/")):
        raise _irregular(path)  # such as /dev/stdout, even if it is a regular file for now
    path = os.path.realpath(path)  # of a link, the file behind it is replaced
    _check_local(path, force)
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    # hidden, on the same file system, and not of the names that readers look for
    temporary = os.path.join(folder, f".export-{uuid.uuid4().hex}.part")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _check_local(path, force)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _check_local(path: str, force: bool) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise _irregular(path)
    if not force:
        raise _exists(path)


def _irregular(path: str) -> UsageError:
    return UsageError(f"{path} is no regular file, so it cannot be replaced: give another one")


@contextlib.contextmanager
def _remote(location: str, options: dict[str, Any], force: bool) -> Iterator[BinaryIO]:
    folder, name = split_name(location)
    store, stored = open_store(folder, options), stored_name(location, name)
    if not force and store.stat([stored]) != [None]:
        raise _exists(redacted(location))
    with temporary_file() as file:
        yield file
        try:
            store.replace(stored, file, expected="any" if force else None)
        except OSError as error:
            if force or http_status(error) not in _NO_CONDITIONS:
                raise
            store.replace(stored, file)
