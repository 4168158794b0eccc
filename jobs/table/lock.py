"""The write lock of a table: flock on a local file system, a lease object on S3."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Protocol

from jobs.errors import TableBusyError, UsageError
from jobs.storage.base import Store
from jobs.storage.local import LocalStore
from jobs.table.layout import LEASE, LOCK
from jobs.table.lease import LEASE_PERIOD_S, Lease, holder_of, owner

if TYPE_CHECKING:
    from jobs.storage.s3 import S3Store

_TRIES = 3
_RETRY_S = 0.05


class WriteGuard(Protocol):
    """A held write lock, to be checked before every write."""

    def check(self) -> None:
        """Raise TableBusyError if another driver has, or may have, taken the lock."""


class Unguarded:
    """No write lock: the user excludes other drivers."""

    def check(self) -> None:
        """Return at once: there is no lock to lose."""
        return


class _FileGuard:
    """A held lock on a file. It is lost if the file is deleted: others then lock a new one."""

    def __init__(self, file: IO[bytes], path: str, url: str) -> None:
        self._file, self._path, self._url = file, path, url

    def check(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(self._file.fileno()), os.stat(self._path)):
                return
        raise TableBusyError(
            f"the lock of {self._url} was deleted while this run held it: another run may have"
            " taken over, so this one stops writing; run the same command again"
        )


def running_run(store: Store) -> str | None:
    """Return the run id of the driver that holds the write lock, judged without waiting.

    Returns
    -------
    str or None
        The run id; empty if no driver holds the lock; None if that cannot be known, because
        the storage has no locks.

    Raises
    ------
    OSError
        If the lock cannot be read.
    """
    try:
        if isinstance(store, LocalStore):
            return _holder_of_file(store.path(LOCK))
        if (bucket := _as_s3(store)) is not None:
            return _holder_of_lease(bucket)
    except FileNotFoundError:
        return ""
    return None


def _holder_of_file(path: str) -> str:
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _run_id_in(file.read())
    return ""


def _holder_of_lease(store: S3Store) -> str | None:
    data, _ = store.read(LEASE)
    try:
        lease = json.loads(data)
        is_held = not lease.get("released", False)
        if is_held and store.age_s(LEASE) <= float(lease["period_s"]):
            return _run_id_in(data)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return ""


def _run_id_in(data: bytes) -> str:
    try:
        return str(json.loads(data)["run_id"])
    except (ValueError, KeyError, TypeError):
        return "unknown"


@contextlib.contextmanager
def busy_if_lost(guard: WriteGuard) -> Iterator[None]:
    """Raise TableBusyError for any error within a ``with`` block, if the lock was lost.

    A driver that was overtaken meets all kinds of errors, because the other one deletes the
    files it works with.
    """
    try:
        yield
    except TableBusyError:
        raise
    except Exception:
        guard.check()
        raise


@contextlib.contextmanager
def write_lock(
    store: Store, run_id: str, *, single_writer: bool = False, period_s: float = LEASE_PERIOD_S
) -> Iterator[WriteGuard]:
    """Hold the write lock of a table within a ``with`` block.

    Parameters
    ----------
    store : Store
        Store of the table.
    run_id : str
        Name of this run, shown to other drivers.
    single_writer : bool
        Skip the check that the storage can exclude other writers. Where it can, the lock is
        still taken.
    period_s : float
        A lease that is not renewed within this time is dead [s].

    Raises
    ------
    TableBusyError
        If another driver holds the lock; also instead of any error within the ``with`` block
        if the lock was lost meanwhile.
    UsageError
        If the storage cannot exclude other writers and `single_writer` is false.
    """
    if isinstance(store, LocalStore):
        with _file_lock(store, run_id, single_writer=single_writer) as guard, busy_if_lost(guard):
            yield guard
    elif (bucket := _as_s3(store)) is not None and bucket.probe_conditions():
        lease = Lease(bucket, run_id, period_s)
        lease.acquire()
        try:
            with busy_if_lost(lease):
                yield lease
        finally:
            lease.release()
    elif single_writer:
        yield Unguarded()
    else:
        raise UsageError(
            f"{store.url} has neither locks nor conditional writes, so two jobs could overwrite"
            " each other's work: make sure that only one runs, and say so with --single-writer"
        )


def _as_s3(store: Store) -> S3Store | None:
    if not store.url.startswith("s3://"):
        return None
    from jobs.storage.s3 import S3Store  # importing s3fs takes a third of the start time

    return store if isinstance(store, S3Store) else None


@contextlib.contextmanager
def _file_lock(store: LocalStore, run_id: str, *, single_writer: bool) -> Iterator[WriteGuard]:
    path = store.path(LOCK)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    # the lock file is never deleted: two drivers could then lock two files of the same name
    with open(path, "a+b") as file:
        try:
            _lock(file)
        except BlockingIOError as error:
            file.seek(0)
            raise TableBusyError(
                f"{store.url} is being written by {holder_of(file.read())}: wait for it to end"
            ) from error
        except OSError as error:
            if not single_writer:
                raise UsageError(
                    f"the file system of {store.url} has no locks ({error.strerror}): make sure"
                    " that only one job runs, and say so with --single-writer"
                ) from error
        file.truncate(0)
        file.write(json.dumps(owner(run_id)).encode())
        file.flush()
        yield _FileGuard(file, path, store.url)


def _lock(file: IO[bytes]) -> None:
    """Take the lock; try again for a moment, because `running_run` may be looking at it."""
    for _ in range(_TRIES - 1):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(_RETRY_S)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
