"""One attempt at the files of a shard, in a thread that is abandoned if a file hangs."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa

import featurelib
from jobs.corpus.formats import cost_class, guessed_seconds
from jobs.errors import StorageError, TableError
from jobs.execution.context import TaskContext, forget_stores, form_of, spec_of, stores_of
from jobs.execution.native import captured_output
from jobs.execution.prefetch import Prefetch
from jobs.execution.results import Failure, ShardResult
from jobs.execution.reuse import Copier, OldRows, OtherRowsError
from jobs.execution.sharding import Shard
from jobs.execution.stops import StopClock
from jobs.storage.base import Fetched
from jobs.table.schema import DURATION, LABEL
from jobs.table.signs import COLUMNS, UNLABELLED, signs_of
from jobs.table.staging import FileRows, StagingWriter

#: Called with the path of each file that is opened or extracted.
OnFile = Callable[[str], None]

#: How often finished rows are staged [s]. A worker that dies loses no more than these.
_STAGE_EVERY_S = 15.0

_TRIES_AT_A_CHANGING_FILE = 3
_LOOK_EVERY_S = 1.0


class _Found(NamedTuple):
    """Signs of a file (see `jobs.table.signs`), and the duration of its audio [s]."""

    signs: list[str]
    audio_s: float


def never() -> bool:
    """Return False: for tasks of processes that may work as long as they like."""
    return False


class Attempt:
    """One attempt at a shard.

    Parameters
    ----------
    context : TaskContext
        Parameters of the run.
    shard : Shard
        The files.
    on_file : callable
        Called with the path of each file that is opened or extracted, in any thread.
    is_over : callable
        Asked after each file whether the others are left to another task.

    Attributes
    ----------
    result : ShardResult
        The result so far.
    """

    def __init__(
        self,
        context: TaskContext,
        shard: Shard,
        on_file: OnFile,
        is_over: Callable[[], bool] = never,
    ) -> None:
        self._context, self._shard, self._on_file = context, shard, on_file
        self._is_over = is_over
        self._store, self._table = stores_of(context)
        self._staging = StagingWriter(
            self._table, shard.bucket, form_of(context), context.run_id, context.origin
        )
        self.result = ShardResult(shard.bucket, shard=shard.name)
        self._changes = threading.Lock()
        self._abandoned = False
        self._n_done = 0
        self._current = 0  # index of the file that is extracted or fetched
        self._since = self._staged_at = time.monotonic()
        self._error: BaseException | None = None
        self._prefetch: Prefetch | None = None
        self._copier: Copier | None = None
        self._old: OldRows | None = None

    def run(self) -> ShardResult:
        """Extract until the shard is done or a file exceeds the time limit, and stage the rows.

        Raises
        ------
        TableError
            If a staged file cannot be written.
        """
        # captured here, not in the thread, which may hang
        with captured_output() as drain:
            thread = threading.Thread(target=self._work, args=(drain,), name="extract", daemon=True)
            thread.start()
            try:
                is_hung = self._wait(thread)
            except BaseException:
                self._abandoned = True  # the rest of the shard is not needed any more
                raise
        if not is_hung and self._error is not None:
            raise self._error
        self._staging.flush()
        self.result.staged = self._staging.names
        return self.result

    def _wait(self, thread: threading.Thread) -> bool:
        """Wait for the thread; return whether it was abandoned because a file hangs."""
        clock = StopClock()
        while True:
            limit = self._since + self._context.file_timeout_s
            thread.join(min(max(0.01, limit - time.monotonic()), _LOOK_EVERY_S))
            if not thread.is_alive():
                return False
            with self._changes:
                self._since += clock.stopped_s()
                if time.monotonic() - self._since >= self._context.file_timeout_s:
                    self._abandon()
                    return True

    def _abandon(self) -> None:
        self._abandoned = True
        shard, prefetch = self._shard, self._prefetch
        overdue = prefetch.overdue(self._context.file_timeout_s) if prefetch is not None else None
        hung = self._current if overdue is None else overdue
        path, version = shard.files[hung]
        message = f"not done after {self._context.file_timeout_s:g} s (file_timeout_s)"
        failure = Failure(path, "timed_out", message)
        self._add_failure(failure, version, None, shard.label_of(hung))
        if left := [i for i in range(self._n_done, len(shard)) if i != hung]:
            self.result.unfinished = shard.only(left)
        forget_stores()  # the hung thread may keep their connections forever
        self.result.is_hung = True

    def _work(self, drain: Callable[[], str]) -> None:
        try:
            if self._context.reuse is not None:
                self._copier = Copier(self._context)
                self._old = OldRows(self._context, self._shard)
                if self._copier.missing is None:
                    self._copy(self._old, self._copier)
            prefetch = Prefetch(self._store, self._shard, self._context.prefetch_bytes, self._touch)
            with prefetch as self._prefetch:
                sizes = self._shard.sizes or (0,) * len(self._shard)
                for index, (path, version) in enumerate(self._shard.files):
                    with self._changes:
                        if self._abandoned:
                            return
                        self._n_done = index
                    started = time.monotonic()
                    self._extract(index, path, version)
                    self._note_time(path, sizes[index], time.monotonic() - started)
                    with self._changes:
                        if self._abandoned:
                            return
                        if text := drain():
                            self.result.native_output.append((path, text))
                        left = range(index + 1, len(self._shard))
                        if left and self._is_over():
                            self.result.unfinished = self._shard.only(left)
                            return
        except BaseException as error:  # noqa: BLE001 - raised again by `run`, in the task's thread
            self._error = error
        finally:
            self._prefetch = None  # a reference cycle would keep all rows in memory for a while

    def _copy(self, old: OldRows, copier: Copier) -> None:
        """Stage the rows of files that need not be read, and take the files from the shard."""
        shard, self._old = self._shard, None
        left = set(range(len(shard)))
        for index in old.files:
            started = time.monotonic()
            rows = old.rows(index)
            if rows is None:
                continue
            path, version = shard.files[index]
            copied = copier.copied(rows)
            collected = self._staging.file(path, version, shard.sizes[index] or None)
            collected.add(copied)
            collected.end()
            self._on_file(path)
            left.remove(index)
            with self._changes:
                if self._abandoned:
                    return
                signs = signs_of(*(copied.first(name) for name in COLUMNS))
                self._finish(path, collected, signs)
                self.result.n_copied += 1
                self._shard = shard.only(sorted(left))
                self._note_time(path, shard.sizes[index], time.monotonic() - started)

    def _finish(self, path: str, rows: FileRows, signs: list[str]) -> None:
        """Stage the rows of a file, under the lock."""
        # may write a staged file; under the lock, so that its time does not count for the next
        # file
        self._staging.add_file(rows)
        self._stage_now_and_then()
        self.result.n_files += 1
        self.result.n_rows += rows.n_rows
        self.result.signs += [(path, sign) for sign in signs]
        self._since = time.monotonic()

    def _touch(self, index: int) -> None:
        self._on_file(self._shard.files[index][0])
        with self._changes:
            self._current, self._since = index, time.monotonic()

    def _note_time(self, path: str, size: int, seconds: float) -> None:
        name = cost_class(path, size)
        guessed, measured = self.result.timings.get(name, (0.0, 0.0))
        self.result.timings[name] = (
            guessed + guessed_seconds(path, size),
            measured + seconds,
        )

    def _extract(self, index: int, path: str, listed: str) -> None:
        fetched: Fetched | None = None
        rows: FileRows | None = None
        kind, message, details = "", "", ""
        is_joined = is_other = False
        try:
            assert self._prefetch is not None
            fetched = self._prefetch.take(index)
            with self._changes:
                self.result.n_bytes += fetched.size
            self._touch(index)
            for _ in range(_TRIES_AT_A_CHANGING_FILE):
                rows = self._staging.file(path, fetched.version, fetched.size)
                old = self._old_rows(index, fetched.version == listed and not is_other)
                is_joined = old is not None
                try:
                    found = self._extract_rows(index, fetched, rows, old)
                except OtherRowsError:
                    is_other = True
                    rows.close()
                    continue
                if found is not None:
                    break
                rows.close()
                fetched.close()
                fetched = self._store.fetch(path)
            else:
                raise StorageError("the file keeps changing while it is read")  # noqa: TRY301
        except featurelib.AudioError as error:
            kind, message = error.kind, str(error)
        except OSError as error:
            kind, message = _environment_kind(error), _one_line(error)
        except TableError:  # a part of another table cannot be read: not this file's fault
            raise
        except MemoryError as error:
            kind, message = "crashed", f"not enough memory: {_one_line(error)}"
        except Exception as error:  # noqa: BLE001 - other files must not suffer from a defect in one
            kind = "crashed"
            message = f"unforeseen {type(error).__name__}: {_one_line(error)}"
            details = traceback.format_exc()
        else:
            with self._changes:
                if not self._abandoned:
                    self._finish(path, rows, found.signs)
                    self.result.n_joined += is_joined
                    self.result.audio_s += found.audio_s
            return
        finally:
            if rows is not None:
                rows.close()
            if fetched is not None:
                fetched.close()
        with self._changes:
            if not self._abandoned:
                version = fetched.version if fetched else listed
                size = fetched.size if fetched else None
                failure = Failure(path, kind, message, details)
                self._add_failure(failure, version, size, self._shard.label_of(index))

    def _stage_now_and_then(self) -> None:
        if time.monotonic() - self._staged_at > _STAGE_EVERY_S:
            self._staging.flush()
            self._staged_at = time.monotonic()

    def _old_rows(self, index: int, is_wanted: bool) -> pa.Table | None:
        return self._old.rows(index) if self._old is not None and is_wanted else None

    def _extract_rows(
        self, index: int, fetched: Fetched, rows: FileRows, old: pa.Table | None
    ) -> _Found | None:
        """Collect the rows of a file; return what is in it, or None if it changed meanwhile.

        Raises
        ------
        OtherRowsError
            If the rows of the other table, `old`, are not those of this file.
        """
        signs: list[str] = []
        audio_s = 0.0
        try:
            for batch in self._made(index, fetched.source, old):
                if not rows.n_rows:
                    signs = signs_of(*(batch.first(name) for name in COLUMNS))
                    audio_s = batch.first(DURATION) or 0.0
                    if self._context.label_tag is not None and batch.facts[LABEL] is None:
                        signs.append(UNLABELLED)
                rows.add(batch)
            rows.end()
        except featurelib.AudioError:
            if fetched.is_unchanged():
                raise
            return None  # a mixture of two versions cannot be decoded
        return _Found(signs, audio_s) if fetched.is_unchanged() else None

    def _made(self, index: int, source: Any, old: pa.Table | None) -> Iterator[featurelib.Rows]:
        """Yield the rows of a file as they are staged; write the files that go with them."""
        context = self._context
        path, label = self._shard.files[index][0], self._shard.label_of(index)
        for batch in self._extracted(source, old):
            if context.label_tag is not None:
                label = batch.facts.get(context.label_tag)
            if context.label_tag is not None or context.product is not None:
                batch = batch._replace(facts={**batch.facts, LABEL: label})
            if context.product is not None and not self._abandoned:
                batch = context.product.put(batch, path, label, self._table)
            yield batch

    def _extracted(self, source: Any, old: pa.Table | None) -> Iterable[featurelib.Rows]:
        context = self._context
        if context.product is not None:
            return context.product.rows(source, context.tags_read)
        tags = {"tags": context.tags_read} if context.tags_read else {}
        if old is None:
            return context.extractor(source, spec_of(context), **tags)
        assert self._copier is not None
        found = context.extractor(source, self._copier.missing, **tags)
        return self._copier.joined(found, old)

    def _add_failure(
        self, failure: Failure, version: str, size: int | None, label: str | None
    ) -> None:
        kind, message = failure.kind, failure.message
        self._staging.add_error(failure.path, version, size, kind, message, label)
        self.result.failures.append(failure)


def _environment_kind(error: OSError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "vanished"
    return "timed_out" if isinstance(error, TimeoutError) else "unreadable"


def _one_line(error: BaseException) -> str:
    strerror = getattr(error, "strerror", None)
    return " ".join(str(strerror or error).split()) or type(error).__name__
